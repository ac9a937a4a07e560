// A reporter of node's test runner: failures with their causes, and one line in the form of cargo's test runner, which
// .ci/run adds up.
import { inspect } from 'node:util'

export default async function* reporter(events) {
  const count = { passed: 0, failed: 0, ignored: 0 }
  const started = Date.now()
  for await (const { type, data } of events) {
    if (type === 'test:diagnostic' && /^(gzipped|refreshes)/.test(data.message)) yield `${data.message}\n`
    if (type === 'test:stderr' || type === 'test:stdout') yield data.message
    if (type !== 'test:pass' && type !== 'test:fail') continue
    if (data.details?.type === 'suite') continue
    const outcome = type === 'test:fail' ? 'failed' : data.skip === undefined ? 'passed' : 'ignored'
    count[outcome] += 1
    if (outcome === 'failed')
      yield `test ${data.name} ... FAILED\n${inspect(data.details.error?.cause ?? data.details.error)}\n`
    if (outcome === 'ignored') yield `test ${data.name} ... ignored, ${data.skip}\n`
  }
  const verdict = count.failed === 0 ? 'ok' : 'FAILED'
  const seconds = ((Date.now() - started) / 1000).toFixed(2)
  const { passed, failed, ignored } = count
  yield `test result: ${verdict}. ${passed} passed; ${failed} failed; ${ignored} ignored; finished in ${seconds}s\n`
}
