// How long sealing takes: the figures of docs/sealed.md. A mini-program's engine compiles at run time on Android; on iPhones
// it only interprets, for which `node --jitless` stands in. Run it as `node scripts/measure.mjs`, after a build.
import { spawnSync } from 'node:child_process'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const CALLS = 20
const path = fileURLToPath(import.meta.url)

function median(numbers) {
  return numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)].toFixed(1)
}

function measure() {
  const before = performance.now()
  const { seal, RANDOM_BYTES } = createRequire(path)('../dist/sealed.cjs')
  const loaded = (performance.now() - before).toFixed(1)
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const { n, e } = publicKey.export({ format: 'jwk' })
  const request = {
    key: { kid: 'k', n, e },
    method: 'POST',
    path: '/api/v1/user/login',
    issuedAt: 1,
    token: 'x'.repeat(700),
  }
  const times = Array.from({ length: CALLS }, () => {
    const since = performance.now()
    seal({ ...request, content: 'x'.repeat(1024) }, randomBytes(RANDOM_BYTES))
    return performance.now() - since
  })
  return `load ${loaded} ms, first call ${times[0].toFixed(1)} ms, then ${median(times.slice(1))} ms`
}

if (process.argv[2] === 'here') {
  process.stdout.write(`${measure()}\n`)
} else {
  for (const flags of [[], ['--jitless']]) {
    process.stdout.write(`node ${process.version} ${flags.join(' ') || 'compiling'}: `)
    spawnSync(process.execPath, ['--no-warnings', ...flags, path, 'here'], { stdio: 'inherit' })
  }
}
