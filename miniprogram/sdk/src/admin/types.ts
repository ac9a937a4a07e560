/** What the backend takes from administrators and answers them. */
import type { components } from '../generated/openapi'

type Schemas = components['schemas']

/** A user as lists show them: the number is masked. */
export type UserSummary = Schemas['UserSummary']
/** A part of the list of users. It goes on with `cursor`, and ends only where that is `null`. */
export type UserPage = Schemas['UserList']
export type UserStatus = Schemas['UserStatus']
/** One user, with the whole number, their mini-programs, sessions, and what bars the account. */
export type UserDetail = Schemas['UserDetail']
/** What is changed of a user, and the version that the change was made for. */
export type UserPatch = Schemas['UserChange'] & { version: number }
/** A person from another backend. */
export type NewUser = Schemas['NewUser']
/** What an account is when its deletion was asked for. */
export type UserDeletion = Schemas['UserDeletion']
/** What became of one of several accounts: `status`, or the `reason` why it was not deleted. */
export type DeletionOutcome = Schemas['Outcome']

/** A deletion or merge that has not ended. */
export type Saga = Schemas['Saga']
export type ResumedSaga = Schemas['Resumed']

/** A key of remote configuration, without its value. */
export type ConfigSummary = Schemas['ConfigSummary']
export type ConfigPage = Schemas['ConfigList']

/** A webhook that a receiver did not get. */
export type FailedWebhook = Schemas['FailedWebhook']
export type FailedWebhookPage = Schemas['FailedWebhookList']
export type RedeliveredWebhook = Schemas['Redelivered']

/** An order to send a message: a subscribe message, or a reply of customer service. */
export type NewMessage = Schemas['NewMessage']
/** An order that was taken, and how far it is. */
export type OrderedMessage = Schemas['Ordered']
/** A message to a user, without what it says. */
export type Message = Schemas['Message']
export type MessagePage = Schemas['MessageList']
/** What a URL link opens, and for how long. */
export type LinkRequest = Partial<Schemas['UrlLinkBody']>
export type UrlLink = Schemas['UrlLink']

export type HealthReport = Schemas['HealthReport']
