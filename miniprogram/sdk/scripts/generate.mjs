// Writes src/generated/openapi.ts: the types of what the backend takes and answers, from docs/openapi.json.
import { readFileSync, writeFileSync } from 'node:fs'
import openapiTypes, { astToString } from 'openapi-typescript'

// Run from the package's folder, as npm does.
export const description = '../../docs/openapi.json'
export const target = 'src/generated/openapi.ts'

const HEADER = '// Generated from docs/openapi.json by `npm run generate`.\n\n'

/** Without the paths: the methods of the SDK name what belongs to which. */
export async function generated() {
  const { openapi, info, components } = JSON.parse(readFileSync(description, 'utf8'))
  const schemas = Object.entries(components.schemas).filter(([name]) => !name.endsWith('Failure'))
  const types = { openapi, info, paths: {}, components: { schemas: Object.fromEntries(schemas) } }
  return HEADER + astToString(await openapiTypes(types))
}

// Not when a test has bundled it.
if (process.argv[1]?.endsWith('generate.mjs')) {
  writeFileSync(target, await generated())
}
