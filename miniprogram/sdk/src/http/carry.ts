import { type CancelSignal, createCanceller, throwIfCancelled, unlessCancelled } from '../cancel'
import { within } from '../deadline'
import { errorName, isWeappError, WeappError } from '../errors'
import type { Runtime } from '../runtime'
import { isTransportError, type TransportResponse } from '../transport/transport'

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
  try {
    return await unlessCancelled(
      within(runtime, timeout, () => work(aborting.signal)),
      signal,
    )
  } catch (error) {
    aborting.cancel()
    throw toWeappError(error)
  }
}
