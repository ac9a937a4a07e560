/**
 * What the backend takes and answers, by the names that pages know. The types themselves are generated from
 * docs/openapi.json.
 */
import type { components } from './generated/openapi'

type Schemas = components['schemas']

/** Why the backend refused. */
export type Reason = Schemas['Reason']

/** The user, as they see themselves. `consentsMissing` is absent where the backend requires no consents. */
export type User = Schemas['UserInfoResponse']
/** What is changed of a profile; `null` clears. */
export type ProfilePatch = Schemas['ProfileChange']
/** A document, and the version that the user has to agree to. */
export type RequiredConsent = Schemas['RequiredConsent']

/** What can be done about a number that another account has. */
export type PhoneOffer = Schemas['Offer']
/** What became of the number that a login brought along. */
export type PhoneOutcome = Schemas['PhoneOutcome']

export type Tokens = Schemas['TokenPair']
/** What a login says, without its tokens: the SDK keeps those. */
export type LoginResult = Pick<Schemas['LoginResponse'], 'user' | 'isNewUser' | 'consentsMissing' | 'phone'>

/** One of the user's sessions. */
export type Session = Schemas['SessionInfo']
export type Consent = Schemas['Consent']
export type Consents = Schemas['ConsentList']
export type ConsentChange = Schemas['ConsentChange']
/** How many messages of a template the user agreed to and has not received. */
export type Subscription = Schemas['Subscription']
/** Something that happened to the account. */
export type Activity = Schemas['Activity']
/** A part of what happened. It goes on with `cursor`, and ends only where that is `null`. */
export type ActivityPage = Schemas['ActivityList']
export type ExportPage = Schemas['ExportPage']
/** `deleting`: the rest goes on without the client. `barred`: it can be called back until `until`. */
export type Deletion = Schemas['AccountDeletion']

/** Where a picture is posted to, and with what. */
export type UploadForm = Schemas['AvatarForm']
/** The types of pictures. */
export type PictureType = Schemas['Picture']['contentType']
/** `checking`: WeChat checks the picture first; `user` has the avatar before. */
export type AvatarResult = Schemas['AvatarConfirmation']

/** What `wx.getWeRunData` and the like give. */
export type EncryptedData = Pick<Schemas['DecryptBody'], 'encryptedData' | 'iv' | 'rawData' | 'signature'>
/** What the page encrypted with a key of `wx.getUserCryptoManager()`. */
export type EncryptedMessage = Schemas['MessageBody']
/** What a mini-program code opens, and how it looks. */
export type CodeRequest = Pick<Schemas['CodeBody'], 'scene'> & Partial<Schemas['CodeBody']>
/** A mini-program code: a picture as base64. */
export type Code = Schemas['Code']
export type ConfigValue = Schemas['ConfigValue']
/** The public key of sealed bodies. */
export type SealingKey = Schemas['TransportKey']
/** An answer to `phone/resolve` that says that the merge goes on. */
export type Merging = Schemas['Merging']

/** A field that broke a rule. */
export type Violation = Schemas['Violation']

/** In the data that WeChat encrypted: whose it is, and when it was made. */
export interface Watermark {
  appid: string
  /** Seconds since 1970. */
  timestamp: number
}

/** What `error.data` is, by reason. */
export interface ErrorData {
  invalid_request: { fields: Violation[] } | null
  phone_taken: PhoneOffer | null
  account_deletion_pending: Schemas['PendingDeletion'] | null
  user_exists: Schemas['Conflicts'] | null
}
