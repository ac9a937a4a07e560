/** What the backend takes and answers, as docs/api.md describes it. */

export type Reason =
  | 'invalid_request'
  | 'code_invalid'
  | 'code_used'
  | 'phone_code_invalid'
  | 'content_risky'
  | 'upload_invalid'
  | 'decrypt_failed'
  | 'token_missing'
  | 'token_invalid'
  | 'token_expired'
  | 'session_revoked'
  | 'refresh_invalid'
  | 'refresh_reused'
  | 'forbidden'
  | 'own_rights'
  | 'user_disabled'
  | 'user_blocked'
  | 'not_found'
  | 'method_not_allowed'
  | 'request_timeout'
  | 'conflict'
  | 'phone_taken'
  | 'ticket_invalid'
  | 'user_exists'
  | 'account_deletion_pending'
  | 'upload_missing'
  | 'session_key_stale'
  | 'version_mismatch'
  | 'body_too_large'
  | 'uri_too_long'
  | 'unsupported_media_type'
  | 'rate_limited'
  | 'headers_too_large'
  | 'internal'
  | 'not_configured'
  | 'upstream_error'
  | 'unavailable'
  | 'upstream_timeout'

export interface MissingConsent {
  document: string
  version: number
}

export interface User {
  id: string
  nickname: string | null
  avatarUrl: string | null
  gender: number | null
  phone: string | null
  role: 'user' | 'admin'
  status: 'active' | 'disabled'
  createdAt: string
  updatedAt: string
  version: number
  /** The version of each document that is agreed to now; absent before the first agreement. */
  consents?: { [document: string]: number }
  /** Absent where the backend requires no consents. */
  consentsMissing?: MissingConsent[]
}

export interface ProfilePatch {
  nickname?: string | null
  avatarUrl?: string | null
  gender?: 0 | 1 | 2 | null
}

/** What can be done about a number that another account has. */
export interface PhoneOffer {
  ticket: string
  /** Seconds. */
  expiresIn: number
  choice: 'merge' | 'take'
}

/** What became of the number that a login brought along. */
export type PhoneOutcome =
  | { status: 'bound' }
  | ({ status: 'taken' } & Partial<PhoneOffer>)
  | { status: 'failed'; reason: Reason }

export interface Tokens {
  token: string
  tokenType: string
  /** Seconds. */
  expiresIn: number
  refreshToken: string
  /** Seconds. */
  refreshExpiresIn: number
}

export interface LoginResult {
  user: User
  isNewUser: boolean
  consentsMissing?: MissingConsent[]
  phone?: PhoneOutcome
}

export interface Session {
  id: string
  appId: string
  userAgent: string | null
  createdAt: string
  refreshedAt: string
  current: boolean
}

export interface Consent {
  document: string
  version: number
  agreedAt: string
  appId: string
  withdrawnAt: string | null
  withdrawnAppId: string | null
}

export interface Consents {
  consents: { [document: string]: number }
  required: MissingConsent[]
  consentsMissing: MissingConsent[]
  history: Consent[]
}

export interface ConsentChange {
  consent: Consent | null
  consents: { [document: string]: number }
  consentsMissing: MissingConsent[]
}

export interface ExportPage {
  exportedAt: string
  /** `null` on every page but the first. */
  user: User | null
  nextCursor?: string
  [part: string]: unknown
}

export interface Deletion {
  /** `deleting`: the rest goes on without the client. `barred`: it can be called back until `until`. */
  status: 'deleted' | 'deleting' | 'barred'
  saga: string
  until?: string
}

export interface UploadForm {
  url: string
  fields: { [name: string]: string }
  key: string
  /** Seconds. */
  expiresIn: number
  maxBytes: number
}

export interface AvatarResult {
  /** `checking`: WeChat checks the picture first; `user` has the avatar before. */
  status: 'published' | 'checking'
  user: User
}

export interface ConfigValue<T> {
  key: string
  value: T
  version: number
  updatedAt: string
}

export interface EncryptedData {
  encryptedData: string
  iv: string
  rawData?: string
  signature?: string
}

export interface Watermark {
  appid: string
  timestamp: number
}

export interface FieldViolation {
  field: string
  message: string
  rule: string
}

/** What `error.data` is, by reason. */
export interface ErrorData {
  invalid_request: { fields: FieldViolation[] } | null
  phone_taken: PhoneOffer | null
  account_deletion_pending: { until: string }
}
