import { type Client, type ClientOptions, createClient, type Runtime, wxPlatform } from 'weapp-serverless-sdk'
import type { Backend } from './backend'
import { Phone } from './phone'

export * from './backend'
export * from './phone'
export * from './tokens'

const timers = {
  setTimeout: (work: () => void, ms: number) => setTimeout(work, ms),
  clearTimeout: (timer: unknown) => clearTimeout(timer as NodeJS.Timeout),
}

/** Real time, and what was waited for. */
export function recordingRuntime(): Runtime & { waits: number[] } {
  const waits: number[] = []
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    random: () => 0.5,
    setTimeout: (work, ms) => {
      waits.push(ms)
      return timers.setTimeout(work, ms)
    },
    clearTimeout: timers.clearTimeout,
    waits,
  }
}

/** Time that passes a hundred times as fast, for waits that nothing else has to keep up with. */
export function fastRuntime(): Runtime & { waits: number[] } {
  const runtime = recordingRuntime()
  return {
    ...runtime,
    setTimeout: (work, ms) => {
      runtime.waits.push(ms)
      return timers.setTimeout(work, ms / 100)
    },
  }
}

/** A phone whose clock is wrong by so many milliseconds. */
export function skewedRuntime(skew: { ms: number }): Runtime {
  return { ...recordingRuntime(), now: () => Date.now() + skew.ms }
}

export function clientOf(phone: Phone, options: Partial<ClientOptions> = {}): Client {
  return createClient({ baseURL: phone.backend.url, platform: wxPlatform(phone.wx), ...options })
}

let users = 0

/** A phone of somebody whom the backend does not know yet. */
export function newPhone(backend: Backend): Phone {
  users += 1
  return new Phone(backend, `user-${users}`)
}

/** Something that is let through later: `await gate.passed` waits until `gate.open()`. */
export function gate(): { passed: Promise<void>; open(): void } {
  let open: () => void = () => undefined
  const passed = new Promise<void>((resolve) => {
    open = resolve
  })
  return { passed, open }
}
