import { WeappError } from './errors'
import type { Runtime } from './runtime'

/** The outcome of `work`, or the failure `timeout` after so many milliseconds. WeChat's functions sometimes never call back. */
export async function within<T>(runtime: Runtime, ms: number, work: () => T | PromiseLike<T>): Promise<T> {
  let timer: unknown
  const late = new Promise<never>((_resolve, reject) => {
    timer = runtime.setTimeout(() => reject(new WeappError({ kind: 'network', reason: 'timeout' })), ms)
  })
  try {
    return await Promise.race([work(), late])
  } finally {
    runtime.clearTimeout(timer)
  }
}
