import { type CancelSignal, createCanceller, throwIfCancelled, unlessCancelled } from '../cancel'
import { errorName, isWeappError, WeappError } from '../errors'
import type { Runtime } from '../runtime'
import { isTransportError, TransportError, type TransportResponse } from '../transport/transport'

function toWeappError(error: unknown): WeappError {
  if (isWeappError(error)) return error
  if (!isTransportError(error)) return new WeappError({ kind: 'network', reason: 'network', detail: errorName(error) })
  return new WeappError({ kind: 'network', reason: error.failure, detail: error.message })
}

/**
 * Runs one exchange of a transport under a deadline and the caller's signal. Either ends the waiting at once, whatever
 * the transport does with the signal that it gets.
 */
export async function carry(
  runtime: Runtime,
  timeout: number,
  signal: CancelSignal | undefined,
  work: (signal: CancelSignal) => Promise<TransportResponse>,
): Promise<TransportResponse> {
  throwIfCancelled(signal)
  const aborting = createCanceller()
  let timer: unknown
  const late = new Promise<never>((_resolve, reject) => {
    timer = runtime.setTimeout(() => reject(new TransportError('timeout')), timeout)
  })
  try {
    return await unlessCancelled(Promise.race([work(aborting.signal), late]), signal)
  } catch (error) {
    aborting.cancel()
    throw toWeappError(error)
  } finally {
    runtime.clearTimeout(timer)
  }
}
