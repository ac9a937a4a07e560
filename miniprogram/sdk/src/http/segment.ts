/**
 * An id as a part of a path. `.` and `..` lead elsewhere, to `DELETE /api/v1/user/` for a consent: what resolves addresses
 * (RFC 3986 §5.2.4) does so with encoded ones as well.
 */
export function segment(id: string): string {
  if (/^\.{0,2}$/.test(id)) throw new TypeError(`not an id: "${id}"`)
  return encodeURIComponent(id)
}
