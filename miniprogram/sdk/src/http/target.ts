import { WeappError } from '../errors'

/** Where a request of the page goes: below `baseURL`, or to a function of one's own. */
export interface Target {
  path: string
  /** The address, if it is not one of the backend's. */
  url?: string | undefined
}

// Not `URL`, which mini-programs lack. The host ends where every parser of addresses lets it end, and nothing stands
// before it that could make another host of it.
const ADDRESS = /^(https?):\/\/([a-z0-9.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?(?=[/?]|$)/i

interface Address {
  origin: string
  isSecure: boolean
  /** What follows the origin. */
  path: string
}

function parsedAddress(address: string): Address | undefined {
  const [whole, scheme = '', host = '', port = ''] = ADDRESS.exec(address) || []
  if (!whole) return undefined
  const lower = scheme.toLowerCase()
  const isDefault = port === (lower === 'https' ? ':443' : ':80')
  const origin = `${lower}://${host.toLowerCase()}${isDefault ? '' : port}`
  // A token in plain text only on this machine.
  const isSecure = lower === 'https' || /^(localhost|127\.0\.0\.1|\[::1\])$/i.test(host)
  return { origin, isSecure, path: address.slice(whole.length) }
}

function refused(detail: string): WeappError {
  return new WeappError({ kind: 'client', reason: 'address_refused', detail })
}

/** Tells where a path or an address leads, and refuses what would carry the user's token elsewhere. */
export function createTargets(baseURL: string, origins: readonly string[]): (path: string) => Target {
  const isPlainAllowed = /^http:/i.test(baseURL)
  const allowed = origins.map((origin) => {
    const address = parsedAddress(origin)
    if (!address || !/^\/?$/.test(address.path)) {
      throw refused('an entry of origins is scheme and host, as in https://functions.example.com')
    }
    if (!address.isSecure && !isPlainAllowed) throw refused('an entry of origins has to be https')
    return address.origin
  })
  return (path) => {
    // Behind `https://api.example.com`, `.evil.example` and `@evil.example` would name another host.
    if (/^\/(?!\/)/.test(path)) return { path }
    const address = parsedAddress(path)
    if (!address) throw refused('a path starts with one slash, as in /api/v1/user/info')
    if (allowed.indexOf(address.origin) < 0) throw refused('the address is of none of the client’s origins')
    return { path: address.path, url: path }
  }
}
