/** Calls for the same thing at the same time share one outcome. */
export function sharing<T>(): (key: string, work: () => Promise<T>) => Promise<T> {
  const flights = new Map<string, Promise<T>>()
  return (key, work) => {
    const known = flights.get(key)
    if (known) return known
    const flight = work()
    flights.set(key, flight)
    const landed = () => flights.delete(key)
    flight.then(landed, landed)
    return flight
  }
}
