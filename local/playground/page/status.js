/**
 * Whether an HTTP status is good news; 0 means that no answer came.
 *
 * @param {number} status
 */
export function statusKind(status) {
  if (status === 0 || status >= 500) return 'bad'
  return status >= 400 ? 'warn' : 'good'
}
