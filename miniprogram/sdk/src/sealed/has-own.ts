const { hasOwnProperty: owns } = Object.prototype

/** `Object.hasOwn` (ES2022), which `@noble/hashes` calls when it loads. The build puts it in its place. */
export const hasOwn = (object: object, name: PropertyKey): boolean => owns.call(object, name)
