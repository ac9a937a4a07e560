/** What the developer tools would refuse: WeChat's compilers of WXML and WXSS, and what connects the files. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, posix, resolve } from 'node:path'
import { test } from 'node:test'

const SRC = resolve('src')
const json = (path: string) => JSON.parse(readFileSync(join(SRC, path), 'utf8'))
const read = (path: string) => readFileSync(join(SRC, path), 'utf8')

const files = readdirSync(SRC, { recursive: true })
  .map((path) => String(path).replaceAll('\\', '/'))
  .filter((path) => !path.startsWith('miniprogram_npm'))
const withEnding = (ending: string) => files.filter((path) => path.endsWith(ending))

/** `pages/index/index`: everything that has a template. */
const units = withEnding('.wxml').map((path) => path.slice(0, -'.wxml'.length))

const FOLDERS: { [platform: string]: string } = { linux: 'linux', darwin: 'mac' }
/** WeChat's compilers are programs for x86. */
const folder = process.arch === 'x64' || process.platform === 'darwin' ? FOLDERS[process.platform] : undefined
const skip = folder ? false : `no compilers of WeChat for ${process.platform} on ${process.arch}`

function compile(name: 'wcc' | 'wcsc', options: string[]): { isRefused: boolean; output: string } {
  const program = resolve(`node_modules/miniprogram-compiler/bin/${folder}/${name}`)
  chmodSync(program, 0o755)
  const { status, error, stdout, stderr } = spawnSync(program, options, { cwd: SRC, encoding: 'utf8' })
  if (error) throw error
  return { isRefused: status !== 0 || /ERR:/.test(stderr), output: stderr || stdout }
}

/** Whether a compiler notices a mistake. */
function refuses(name: 'wcc' | 'wcsc', option: string, text: string): boolean {
  const path = resolve(`build/broken.${name === 'wcc' ? 'wxml' : 'wxss'}`)
  writeFileSync(path, text)
  return compile(name, [option, path]).isRefused
}

test('templates compile', { skip }, () => {
  assert(units.length >= 9)
  const { isRefused, output } = compile('wcc', ['-d', ...withEnding('.wxml')])
  assert(!isRefused, output)
  assert(refuses('wcc', '-d', '<view><text></view>'))
  assert(refuses('wcc', '-d', '<view>{{a b}}</view>'))
})

test('style sheets compile', { skip }, () => {
  for (const path of withEnding('.wxss')) {
    const { isRefused, output } = compile('wcsc', ['-lc', path])
    assert(!isRefused, output)
  }
  assert(refuses('wcsc', '-lc', '.broken { color: red'))
})

test('every page and component has its four files', () => {
  const { pages } = json('app.json')
  assert.deepEqual(
    units.filter((unit) => unit.startsWith('pages/')),
    [...pages].sort(),
  )
  for (const unit of units) {
    for (const ending of ['ts', 'json', 'wxss']) assert(existsSync(join(SRC, `${unit}.${ending}`)), `${unit}.${ending}`)
  }
})

const BUILT_IN = ['view', 'text', 'image', 'button', 'input', 'form', 'picker', 'navigator', 'block']

test('templates use components that are declared, and declared ones are used', () => {
  for (const unit of units) {
    const { usingComponents = {} } = json(`${unit}.json`)
    const tags = new Set([...read(`${unit}.wxml`).matchAll(/<([a-z][a-z-]*)/g)].map(([, tag = '']) => tag))
    for (const name of BUILT_IN) tags.delete(name)
    assert.deepEqual([...tags].sort(), Object.keys(usingComponents).sort(), unit)
    for (const path of Object.values<string>(usingComponents)) assert(json(`${path.slice(1)}.json`).component, path)
  }
})

test('the handlers that templates name exist', () => {
  for (const unit of units) {
    const code = read(`${unit}.ts`)
    for (const [, handler = ''] of read(`${unit}.wxml`).matchAll(/(?:bind|catch):?[a-z]+="(\w+)"/g)) {
      assert.match(code, new RegExp(`^ +(async )?${handler}\\(`, 'm'), `${unit}: ${handler}`)
    }
  }
})

test('roles are said as WeChat’s screen readers read them', () => {
  for (const unit of units) assert.doesNotMatch(read(`${unit}.wxml`), /[\s"]role=/, unit)
})

test('links lead to pages', () => {
  const { pages } = json('app.json')
  const links = files
    .filter((path) => /\.(wxml|ts)$/.test(path))
    .flatMap((path) => [...read(path).matchAll(/['"`]\/(pages\/[\w/]+)/g)].map(([, link]) => link))
  assert(links.length >= 6)
  for (const link of links) assert(pages.includes(link), link)
})

test('scripts import what is there', () => {
  for (const path of withEnding('.ts')) {
    for (const [, name = ''] of read(path).matchAll(/from '(\.[^']+)'/g)) {
      const target = posix.join(dirname(path), name)
      assert(existsSync(join(SRC, `${target}.ts`)), `${path}: ${name}`)
    }
  }
})

test('colours are defined for both themes', () => {
  const { light, dark } = json('theme.json')
  const used = [...read('app.json').matchAll(/"@(\w+)"/g)].map(([, name]) => name)
  assert(used.length > 0)
  for (const theme of [light, dark]) assert.deepEqual(Object.keys(theme).sort(), [...used].sort())
  const styles = withEnding('.wxss').map(read).join('')
  const [lightBlock = '', darkBlock = ''] = styles.split('prefers-color-scheme: dark')
  const defined = new Set([...lightBlock.matchAll(/(--[\w-]+):/g)].map(([, name]) => name))
  for (const [, name] of styles.matchAll(/var\((--[\w-]+)\)/g)) assert(defined.has(name), name)
  for (const name of ['--bg', '--cell', '--text', '--line']) assert.match(darkBlock, new RegExp(`${name}: `))
  const inDark = new Set([...darkBlock.matchAll(/(--[\w-]+):/g)].map(([, name]) => name))
  assert.deepEqual(
    [...defined].filter((name) => !inDark.has(name)),
    ['--brand', '--danger', '--warning'],
    'what looks the same on both grounds',
  )
})

test('outside the themes, colours are variables, tints, or white on a colour', () => {
  for (const path of withEnding('.wxss')) {
    for (const [, selector = '', rule = ''] of read(path).matchAll(/([^{}]+)\{([^{}]*)\}/g)) {
      if (selector.trim().endsWith('page')) continue
      const literals = rule.match(/#[0-9a-f]{3,8}\b|rgba?\([^)]*\)/gi) || []
      for (const literal of literals) {
        const isTint = /, 0\.1\d*\)$/.test(literal)
        const isWhiteOnColour = literal === '#ffffff' && rule.includes('background-color: var(--brand)')
        assert(isTint || isWhiteOnColour, `${path}: ${selector.trim()}: ${literal}`)
      }
    }
  }
})

/** WCAG 2.2: how much two colours, the upper one with an alpha, stand apart. */
function contrast(upper: number[], lower: number[]): number {
  const [, , , alpha = 1] = upper
  const luminance = (colour: number[]) => {
    const [red = 0, green = 0, blue = 0] = colour
      .map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  const shown = lower.map((part, at) => (upper[at] || 0) * alpha + part * (1 - alpha))
  const [dark = 0, light = 0] = [luminance(shown), luminance(lower)].sort((a, b) => a - b)
  return (light + 0.05) / (dark + 0.05)
}

test('text can be read in both themes', () => {
  const [light = '', dark = ''] = read('app.wxss').split('prefers-color-scheme: dark')
  const colour = (theme: string, name: string): number[] => {
    const [, hex, rgba] = new RegExp(`${name}: (?:#([0-9a-f]{6})|rgba\\(([^)]+)\\));`).exec(theme) || []
    if (hex) return [0, 2, 4].map((at) => Number.parseInt(hex.slice(at, at + 2), 16))
    return rgba ? rgba.split(',').map(Number) : colour(light, name)
  }
  for (const theme of [light, dark]) {
    for (const ground of ['--bg', '--cell']) {
      for (const [name, least] of [
        ['--text', 4.5],
        ['--text-secondary', 4.5],
        ['--link', 4.5],
        // WeUI's own red.
        ['--danger', 2.8],
      ] as const) {
        const found = contrast(colour(theme, name), colour(theme, ground))
        assert(found >= least, `${name} on ${ground}: ${found.toFixed(2)}`)
      }
    }
  }
})

test('style sheets of components select by class, as WeChat demands', () => {
  for (const path of withEnding('.wxss').filter((name) => name.startsWith('components/'))) {
    for (const [, selector = ''] of read(path).matchAll(/^([^{}@\n]+?)(?: \{|,)$/gm)) {
      assert.match(selector, /^[.:][\w.:-]+( [.:][\w.:-]+)*$/, path)
    }
  }
})

test('the project opens with a test number and without the check of domains', () => {
  const project = JSON.parse(readFileSync('project.config.json', 'utf8'))
  assert.equal(project.appid, 'touristappid')
  assert.equal(project.miniprogramRoot, 'src/')
  assert.equal(project.setting.urlCheck, false)
  assert.deepEqual(project.setting.useCompilerPlugins, ['typescript'])
})
