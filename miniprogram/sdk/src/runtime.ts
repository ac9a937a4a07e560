/**
 * Time, timers and randomness, as the SDK uses them. Tests put in their own.
 *
 * The declarations are here because a mini-program's engine has these functions, but neither the DOM's types nor node's
 * apply to it.
 */
declare function setTimeout(work: () => void, ms: number): unknown
declare function clearTimeout(timer: unknown): void
declare const performance: { now?: () => number } | undefined

export interface Runtime {
  /** The phone's clock, in milliseconds since 1970. It can be wrong by hours, and can jump. */
  now(): number
  /**
   * Milliseconds since some moment. It does not jump where the engine has such a clock, and may stand still while the
   * phone sleeps. Mini-programs have none: there it is the phone's clock.
   */
  monotonic(): number
  /** From 0 up to, but not including, 1. Spreads repeated requests; never a secret. */
  random(): number
  setTimeout(work: () => void, ms: number): unknown
  clearTimeout(timer: unknown): void
}

export const systemRuntime: Runtime = {
  now: () => Date.now(),
  monotonic: () => (typeof performance === 'object' && performance.now ? performance.now() : Date.now()),
  random: () => Math.random(),
  setTimeout: (work, ms) => setTimeout(work, ms),
  clearTimeout: (timer) => clearTimeout(timer),
}
