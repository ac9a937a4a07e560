/** A path with its query; what is not given is left out. */
export function pathWith(path: string, query: { [name: string]: string | number | null | undefined }): string {
  const given = Object.keys(query).filter((name) => query[name] !== undefined && query[name] !== null)
  const pairs = given.map((name) => `${name}=${encodeURIComponent(String(query[name]))}`)
  return pairs.length > 0 ? `${path}?${pairs.join('&')}` : path
}
