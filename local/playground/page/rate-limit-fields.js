/**
 * `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers), and the buckets behind them.
 *
 * @typedef {object} Bucket
 * @property {string} name
 * @property {number} burst Units in a full bucket.
 * @property {number} window Seconds in which an empty one is full again.
 * @property {number} left Whole units left.
 */

/**
 * The buckets that an answer reports.
 *
 * @param {string | null} policies
 * @param {string | null} standings
 * @returns {Bucket[]}
 */
export function buckets(policies, standings) {
  const left = new Map(items(standings).map(({ name, parameters }) => [name, parameters.get('r')]))
  /** @type {Bucket[]} */
  const found = []
  for (const { name, parameters } of items(policies)) {
    const [burst, window, rest] = [parameters.get('q'), parameters.get('w'), left.get(name)]
    if (burst && window && rest !== undefined) found.push({ name, burst, window, left: rest })
  }
  return found
}

/** @param {string | null} field */
function items(field) {
  const list = (field ?? '').split(',').map((item) => item.trim().split(';'))
  return list
    .filter(([name]) => name)
    .map(([name = '', ...rest]) => ({
      name: name.replace(/^"|"$/g, ''),
      parameters: new Map(
        rest.map((parameter) => {
          const [key = '', value] = parameter.trim().split('=')
          return [key, Number(value)]
        }),
      ),
    }))
}

/**
 * How full a bucket is some seconds later: it fills steadily.
 *
 * @param {{ burst: number, window: number }} bucket
 * @param {number} level
 * @param {number} seconds
 */
export function refilled({ burst, window }, level, seconds) {
  return Math.min(burst, level + (Math.max(0, seconds) * burst) / window)
}
