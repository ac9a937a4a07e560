// Generated from docs/openapi.json by `npm run generate`.

export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description How far a deletion has come. */
        AccountDeletion: {
            /**
             * @description What an administrator finds the deletion by.
             * @example 8ec7bbdb9e68689d6a0779458142f841
             */
            saga: string;
            status: components["schemas"]["AccountDeletionStatus"];
            /**
             * Format: date-time
             * @description Until when the account can be called back, by logging in with `cancelDeletion`.
             */
            until?: string;
        };
        /**
         * @description - `deleted`: Nothing about the user is stored.
         *     - `barred`: The account is barred, and deleted at the time in `until`.
         *     - `deleting`: The account is barred, and the rest goes on without the client.
         * @enum {string}
         */
        AccountDeletionStatus: "deleted" | "barred" | "deleting";
        /** @description Something that happened. What an event does not have is left out. */
        Activity: {
            /**
             * Format: uuid
             * @description Which one. Only administrators see it.
             * @example 01a20939-2967-7d17-98c2-7448ee036be2
             */
            administratorId?: string;
            /**
             * @description The mini-program in which it happened.
             * @example wx0123456789abcdef
             */
            appId?: string;
            /** Format: date-time */
            at: string;
            /** @description Whether an administrator did it. */
            byAdministrator: boolean;
            /**
             * @description The document that was agreed to.
             * @example privacy
             */
            document?: string;
            event: components["schemas"]["AuditKind"];
            /** @description The role or status before. */
            from?: string;
            /**
             * @description The merge that it was.
             * @example 8ec7bbdb9e68689d6a0779458142f841
             */
            saga?: string;
            /**
             * Format: uuid
             * @description The session that it is about.
             * @example 01a20939-2967-7d17-98c2-7448ee036be2
             */
            sessionId?: string;
            /** @description The role or status after. */
            to?: string;
            /** @description The client of a login. */
            userAgent?: string;
            /** @description Its version. */
            version?: number;
        };
        /** @description A page. */
        ActivityList: {
            /** @description The newest first. A page that is followed by another one can be short. */
            activities: components["schemas"]["Activity"][];
            /** @description The cursor of the next page; none at the end. */
            cursor: string | null;
        };
        /** @description The versions of documents that a user agreed to and has not withdrawn, by document. */
        AgreedVersions: {
            [key: string]: number;
        };
        /**
         * @description What happened.
         *
         *     - `login`: A session was opened.
         *     - `logout`: The user ended a session.
         *     - `refresh_reused`: A refresh token was used again, and its session ended for that.
         *     - `session_ended`: A session was ended by somebody else than its user: an administrator, or with the account.
         *     - `session_removed`: A session was deleted: a newer one needed its place, or its login did not come about.
         *     - `role_changed`: The user may do something else than before.
         *     - `status_changed`: The account was disabled, or enabled again.
         *     - `phone_bound`: A phone number was bound.
         *     - `phone_removed`: The number is no longer the user's.
         *     - `consent_given`: The user agreed to a document.
         *     - `consent_withdrawn`: The user withdrew that.
         *     - `deletion_requested`: The account is going to be deleted.
         *     - `deletion_called_off`: It is not: the user called it back.
         *     - `account_merged`: Another account was merged into this one.
         * @enum {string}
         */
        AuditKind: "login" | "logout" | "refresh_reused" | "session_ended" | "session_removed" | "role_changed" | "status_changed" | "phone_bound" | "phone_removed" | "consent_given" | "consent_withdrawn" | "deletion_requested" | "deletion_called_off" | "account_merged";
        /** @description What became of an upload. */
        AvatarConfirmation: {
            status: components["schemas"]["AvatarStatus"];
            user: components["schemas"]["User"];
        };
        /** @description The form, and what it takes. */
        AvatarForm: {
            /** @description In seconds. */
            expiresIn: number;
            /** @description Its fields, all of which have to be sent before the file. */
            fields: {
                [key: string]: string;
            };
            /**
             * @description To confirm the upload with.
             * @example uploads/6f0c3d51a2b74e8899aabbccddeeff00
             */
            key: string;
            /** @description Of the file. */
            maxBytes: number;
            /** @description Where it is posted to, as `multipart/form-data`. */
            url: string;
        };
        /** @description What was uploaded. */
        AvatarKey: {
            /**
             * @description The one that came with the form.
             * @example uploads/6f0c3d51a2b74e8899aabbccddeeff00
             */
            key: string;
        };
        /**
         * @description What became of the picture.
         *
         *     - `published`: It is the user's avatar.
         *     - `checking`: WeChat is checking it.
         * @enum {string}
         */
        AvatarStatus: "published" | "checking";
        /** @description What became of the accounts. */
        BatchOutcomes: {
            outcomes: components["schemas"]["Outcome"][];
        };
        /** @description The status of a breaker. */
        BreakerReport: {
            /** @description Calls of the last 10 s that were reported to it. */
            calls: number;
            /** @description Failed calls among them. */
            failed: number;
            /** @description Instances with failed or slow calls. */
            failingInstances: number;
            /** @description Whether an administrator forced this state. */
            forced: boolean;
            /** @description The upstream that it protects. */
            name: string;
            /** @description Milliseconds after which the state may change; 0 while it is closed. */
            retryAfterMs: number;
            /** @description Calls among them that took too long. */
            slow: number;
            /**
             * @description `closed`, `half-open` or `open`.
             * @enum {string}
             */
            state: "closed" | "half-open" | "open";
        };
        /**
         * @description How a conflict about a number is resolved.
         *
         *     - `merge`: The caller's account ends, and its identities become the holder's.
         *     - `take`: The number moves from the holder to the caller.
         * @enum {string}
         */
        Choice: "merge" | "take";
        /** @description A mini-program code. Inside JSON, as every answer: pages show it by a `data:` URL, and an error has its reason. */
        Code: {
            /** @description `image/png` or `image/jpeg`. */
            contentType: string;
            /** @description The file, as base64. */
            data: string;
        };
        /** @description A mini-program code that is to be made. */
        CodeBody: {
            /**
             * @description Whether a page that the published version does not have is refused.
             * @default true
             */
            checkPath: boolean;
            /** @description The version of the mini-program that it opens; `release` is the default. */
            envVersion?: components["schemas"]["EnvVersion"];
            /** @description The page that it opens, without a query; the first page is the default. */
            page?: string;
            /** @description What the page gets as `scene`. */
            scene: string;
            /**
             * @description Whether it has no background.
             * @default false
             */
            transparent: boolean;
            /**
             * @description In pixels.
             * @default 430
             */
            width: number;
        };
        /** @description A value, and which version it replaces. */
        ConfigChange: {
            /** @description Any JSON of at most 64 KiB. */
            value: unknown;
            /** @description The version that is replaced; none for a new value. */
            version?: number;
        };
        /** @description Which version to delete. */
        ConfigDeletion: {
            /** @description The only version that is deleted. */
            version?: number;
        };
        /** @description A page of the list. */
        ConfigList: {
            /**
             * @description Where the next page begins; null on the last one.
             * @example home.banner
             */
            cursor: string | null;
            values: components["schemas"]["ConfigSummary"][];
        };
        /** @description What there is to know of a value without reading it. */
        ConfigSummary: {
            /**
             * @description Its key.
             * @example home.banner
             */
            key: string;
            /** @description The bytes of the value, as it was written. */
            size: number;
            /**
             * Format: date-time
             * @description When it was written.
             */
            updatedAt: string;
            /**
             * Format: uuid
             * @description The administrator who wrote it.
             * @example 01a20939-2967-7d17-98c2-7448ee036be2
             */
            updatedBy: string;
            /** @description One more with each change of the key. */
            version: number;
        };
        /** @description A value of remote configuration. */
        ConfigValue: {
            /**
             * @description Its key.
             * @example home.banner
             */
            key: string;
            /**
             * Format: date-time
             * @description When it was written.
             */
            updatedAt: string;
            /** @description Any JSON. */
            value: unknown;
            /** @description One more with each change of the key. */
            version: number;
        };
        /** @description Something that is another user's already. */
        Conflict: {
            /** @description Where it stands in the body: `identities[0]`, `identities[0].unionId`, `phone`. */
            field: string;
            /**
             * Format: uuid
             * @description Whose it is.
             * @example 01a20939-2967-7d17-98c2-7448ee036be2
             */
            userId: string;
        };
        /** @description `data` of `user_exists`. */
        Conflicts: {
            conflicts: components["schemas"]["Conflict"][];
        };
        /** @description An agreement, as it is kept and as the user sees it. */
        Consent: {
            /**
             * Format: date-time
             * @description When. The same version again, without a withdrawal in between, keeps the first time.
             */
            agreedAt: string;
            /**
             * @description In which mini-program.
             * @example wx0123456789abcdef
             */
            appId: string;
            /**
             * @description The document.
             * @example privacy
             */
            document: string;
            /** @description The version that was agreed to. */
            version: number;
            /**
             * @description In which mini-program it was withdrawn.
             * @example wx0123456789abcdef
             */
            withdrawnAppId: string | null;
            /**
             * Format: date-time
             * @description When it was withdrawn, if it was.
             */
            withdrawnAt: string | null;
        };
        /** @description An agreement or a withdrawal, and what it leaves. */
        ConsentChange: {
            /** @description The agreement that was made, held already, or was withdrawn. */
            consent: components["schemas"]["Consent"] | null;
            consents: components["schemas"]["AgreedVersions"];
            consentsMissing: components["schemas"]["RequiredConsent"][];
        };
        /** @description What a user agreed to, and has to agree to. */
        ConsentList: {
            /** @description What the user agrees to now. */
            consents: components["schemas"]["AgreedVersions"];
            consentsMissing: components["schemas"]["RequiredConsent"][];
            /** @description The newest first. */
            history: components["schemas"]["Consent"][];
            required: components["schemas"]["RequiredConsent"][];
        };
        /** @description The body of an agreement. */
        ConsentVersion: {
            /** @description At most the one that is required now. */
            version: number;
        };
        /** @description A reply of customer service. */
        CustomMessage: {
            /** @description At most 2,048 bytes. */
            content: string;
            /** @constant */
            kind: "text";
        } | {
            /** @constant */
            kind: "image";
            /** @description The picture, as WeChat's uploadTempMedia names it. */
            mediaId: string;
        } | {
            /** @description What it is. */
            description: string;
            /** @constant */
            kind: "link";
            /** @description The address of its picture. */
            thumbUrl: string;
            /** @description Its title. */
            title: string;
            /** @description Where it leads. */
            url: string;
        } | {
            /** @constant */
            kind: "miniProgramPage";
            /** @description The page, with its query. */
            pagePath: string;
            /** @description The card's picture, as WeChat's uploadTempMedia names it. */
            thumbMediaId: string;
            /** @description Its title. */
            title: string;
        };
        /** @description Data that WeChat encrypted with the `session_key`. */
        DecryptBody: {
            /**
             * @description Whether WeChat is asked first whether its key is still current.
             * @default false
             */
            checkSession: boolean;
            /** @description Base64. */
            encryptedData: string;
            /** @description Base64 of 16 bytes. */
            iv: string;
            /** @description Only with `signature`. */
            rawData?: string;
            /** @description Only with `rawData`. */
            signature?: string;
        };
        /** @description The state of one dependency. */
        Dependency: {
            /** Format: double */
            latencyMs: number;
            name: string;
            /** @description Whether requests fail without it. */
            needed: boolean;
            /** @enum {string} */
            status: "ok" | "down";
        };
        /** @description The `data` of a success that has nothing to return: `{}`. */
        Empty: Record<string, never>;
        /**
         * @description The `enc` values that are accepted (RFC 7518 §5.1).
         *
         *     - `A256CBC-HS512`: AES-256 in CBC mode, authenticated with HMAC-SHA-512.
         *     - `A256GCM`: AES-256 in GCM.
         * @enum {string}
         */
        Enc: "A256CBC-HS512" | "A256GCM";
        /**
         * @description The version of a mini-program that a code or a link opens.
         *
         *     - `release`: The published version.
         *     - `trial`: The trial version.
         *     - `develop`: The developers' version.
         * @enum {string}
         */
        EnvVersion: "release" | "trial" | "develop";
        /** @description A page of an export. What a row does not have is `null`. */
        ExportPage: {
            activity: {
                appId: string | null;
                /** Format: date-time */
                at: string | null;
                document: string | null;
                event: string | null;
                /** Format: date-time */
                expiresAt: string | null;
                from: string | null;
                saga: string | null;
                session: string | null;
                to: string | null;
                userAgent: string | null;
                version: number | null;
            }[];
            avatarChecks: {
                appId: string;
                /** Format: date-time */
                expiresAt: string | null;
                traceId: string;
                uploadId: string | null;
                userId: string | null;
            }[];
            avatarUploads: {
                appId: string | null;
                /** Format: date-time */
                askedAt: string | null;
                contentType: string | null;
                /** Format: date-time */
                createdAt: string | null;
                /** Format: date-time */
                expiresAt: string | null;
                id: string | null;
                maxBytes: number | null;
                phase: string | null;
            }[];
            consents: {
                /** Format: date-time */
                agreedAt: string | null;
                appId: string | null;
                document: string | null;
                version: number | null;
                withdrawnAppId: string | null;
                /** Format: date-time */
                withdrawnAt: string | null;
            }[];
            /** Format: date-time */
            exportedAt: string;
            identities: {
                appId: string;
                /** Format: date-time */
                createdAt: string | null;
                /** Format: date-time */
                lastLoginAt: string | null;
                loginCount: number | null;
                openId: string;
                unionId: string | null;
                unionLinked: boolean | null;
            }[];
            messages: {
                appId: string | null;
                attempts: number | null;
                content: string | null;
                /** Format: date-time */
                createdAt: string | null;
                /** Format: date-time */
                dueAt: string | null;
                errcode: number | null;
                /** Format: date-time */
                expiresAt: string | null;
                id: string | null;
                reason: string | null;
                status: string | null;
                templateId: string | null;
                type: string | null;
                /** Format: date-time */
                updatedAt: string | null;
            }[];
            /** @description Where the next page begins; none on the last one. */
            nextCursor?: string;
            phoneNumbers: {
                provenOn: string | null;
                userId: string | null;
            }[];
            sessions: {
                appId: string | null;
                /** Format: date-time */
                createdAt: string | null;
                endedBy: string | null;
                /** Format: date-time */
                expiresAt: string | null;
                id: string | null;
                openId: string | null;
                /** Format: date-time */
                refreshedAt: string | null;
                refreshes: number | null;
                /** Format: date-time */
                revokedAt: string | null;
                userAgent: string | null;
            }[];
            subscriptions: {
                appId: string | null;
                /** Format: date-time */
                expiresAt: string | null;
                /** Format: date-time */
                grantedAt: string | null;
                openId: string | null;
                requestId: string | null;
                templateId: string | null;
                /** Format: date-time */
                usedAt: string | null;
            }[];
            unionLinks: {
                unionId: string;
                userId: string | null;
            }[];
            user: {
                avatarUrl: string | null;
                consents: {
                    [key: string]: number;
                } | null;
                /** Format: date-time */
                createdAt: string | null;
                gender: number | null;
                id: string | null;
                lastActiveOn: string | null;
                nickname: string | null;
                phone: string | null;
                role: string | null;
                status: string | null;
                /** Format: date-time */
                updatedAt: string | null;
                version: number | null;
            } | null;
        };
        /** @description A delivery that was given up. */
        FailedWebhook: {
            /** @description The `webhook-id` of the event. */
            eventId: string;
            /** @description Such as `user.created`. */
            eventType: string;
            /** Format: date-time */
            failedAt: string;
            /**
             * @description A delivery of a webhook that was given up.
             * @example 5f2b7c1e9a3d4f608b7a6c5d4e3f2a1b
             */
            id: string;
            /** @description Why the last attempt failed: `status 500`, `timeout`, `unreachable`, or another word. */
            reason: string;
            /** @description The receiver, as `WEBHOOKS` names it. */
            receiver: string;
        };
        /** @description Deliveries that were given up. */
        FailedWebhookList: {
            /** @description The cursor of the next page; none at the end. */
            cursor: string | null;
            /** @description The newest first. A page that is followed by another one can be short, or empty. */
            failures: components["schemas"]["FailedWebhook"][];
        };
        /**
         * @description As WeChat's user info codes it.
         * @enum {integer}
         */
        Gender: 0 | 1 | 2;
        /** @description How the service is. */
        HealthReport: {
            /** @description Of a deep check, while shared state can be reached. */
            breakers?: components["schemas"]["BreakerReport"][];
            /** @description Of a deep check. */
            parts?: components["schemas"]["Dependency"][];
            /** @description `AWS_REGION`. */
            region: string | null;
            /** @enum {string} */
            status: "ok" | "degraded" | "down";
            version: string;
        };
        /** @description The public keys of access tokens (RFC 7517). */
        KeySet: {
            keys: {
                /** @enum {string} */
                alg: "EdDSA" | "ES256" | "RS256";
                crv?: string;
                e?: string;
                kid: string;
                /** @enum {string} */
                kty: "OKP" | "EC" | "RSA";
                n?: string;
                /** @constant */
                use: "sig";
                x?: string;
                y?: string;
            }[];
        };
        /** @description A mini-program that knows the user. Without the openid: nobody needs it who has the user's id. */
        KnownIn: {
            /**
             * @description A mini-program.
             * @example wx0123456789abcdef
             */
            appId: string;
        };
        /** @description A code, and what else a login brings along. */
        LoginBody: {
            /**
             * @description One of `WECHAT_APPIDS`; the first of them is the default.
             * @example wx0123456789abcdef
             */
            appId?: string;
            /** @description Whether an account that is being deleted is called back. */
            cancelDeletion?: boolean;
            /** @description A code of `wx.login`. */
            code: string;
            /** @description A code of the phone number button, whose number is bound. */
            phoneCode?: string;
        };
        /** @description A session, and whose it is. */
        LoginResponse: {
            /** @description What the user has to agree to; left out where nothing is required of anybody. */
            consentsMissing?: components["schemas"]["RequiredConsent"][];
            /**
             * Format: int64
             * @description Seconds that the access token is still valid.
             */
            expiresIn: number;
            isNewUser: boolean;
            /** @description What became of the number, if the login brought one. */
            phone?: components["schemas"]["PhoneOutcome"];
            /**
             * Format: int64
             * @description Seconds that the refresh token is still valid.
             */
            refreshExpiresIn: number;
            /** @description The refresh token. */
            refreshToken: string;
            /** @description The JWT. */
            token: string;
            /**
             * @description `Bearer` (RFC 6750).
             * @constant
             */
            tokenType: "Bearer";
            user: components["schemas"]["User"];
        };
        /** @description The body of a logout; without one, only the current session ends. */
        LogoutBody: {
            /**
             * @description Whether all sessions of the user end, not only this one.
             * @default false
             */
            all: boolean;
        };
        /** @description A merge that goes on without the client. */
        Merging: {
            /**
             * @description What an administrator finds the merge by; left out if it has just ended.
             * @example 8ec7bbdb9e68689d6a0779458142f841
             */
            saga?: string;
            /** @constant */
            status: "merging";
        };
        /** @description A message to a user, without what it says. */
        Message: {
            /**
             * @description A mini-program.
             * @example wx0123456789abcdef
             */
            appId: string;
            /** @description How often a process began to send it, also where WeChat was not called in the end. */
            attempts: number;
            /** Format: date-time */
            createdAt: string;
            /**
             * Format: date-time
             * @description When it is tried next; none once it has ended.
             */
            dueAt: string | null;
            /**
             * Format: int64
             * @description What WeChat answered where it refused the message itself.
             */
            errcode: number | null;
            /**
             * @description A message to a user.
             * @example 3c9909afec25354d551dae21590bb26e
             */
            messageId: string;
            /** @description Why it was refused or failed, or why it waits: a word of docs/messages.md. */
            reason: string | null;
            status: components["schemas"]["MessageStatus"];
            /**
             * @description The template of a subscribe message.
             * @example priTmplId-0123456789abcdefghijklmnopqrstuvw
             */
            templateId: string | null;
            type: components["schemas"]["MessageKind"];
            /** Format: date-time */
            updatedAt: string;
        };
        /** @description A message that the page encrypted. */
        MessageBody: {
            /** @description Base64. */
            encryptedData: string;
            /** @description Base64 of 16 bytes; the key's own is the default. */
            iv?: string;
            /** @description That of the key. */
            version: number;
        };
        /**
         * @description What kind of message it is.
         *
         *     - `subscribe`: A subscribe message, which the user agreed to receive.
         *     - `customer_service`: A reply of customer service, to what the user wrote in the last 48 hours.
         * @enum {string}
         */
        MessageKind: "subscribe" | "customer_service";
        /**
         * @description The language of a message's template.
         *
         *     - `zh_CN`: Chinese, simplified.
         *     - `en_US`: English.
         *     - `zh_HK`: Chinese, traditional, of Hong Kong.
         *     - `zh_TW`: Chinese, traditional, of Taiwan.
         * @enum {string}
         */
        MessageLanguage: "zh_CN" | "en_US" | "zh_HK" | "zh_TW";
        /** @description Messages to a user. */
        MessageList: {
            /** @description The cursor of the next page; none at the end. */
            cursor: string | null;
            /** @description The newest first. Of a user with more than 1,000 messages, any of them may be left out. */
            messages: components["schemas"]["Message"][];
        };
        /**
         * @description How far a message is.
         *
         *     - `queued`: It waits until it is sent.
         *     - `sending`: A process is sending it.
         *     - `sent`: WeChat took it.
         *     - `refused`: WeChat or the user does not want it.
         *     - `failed`: It can't be sent.
         *     - `unconfirmed`: WeChat may have taken it or not: its answer got lost. It is not sent again.
         * @enum {string}
         */
        MessageStatus: "queued" | "sending" | "sent" | "refused" | "failed" | "unconfirmed";
        /**
         * @description The version of a mini-program that a message opens.
         *
         *     - `developer`: The developers' version.
         *     - `trial`: The trial version.
         *     - `formal`: The published version.
         * @enum {string}
         */
        MiniProgramState: "developer" | "trial" | "formal";
        /** @description A person in one mini-program. */
        NewIdentity: {
            /**
             * @description A mini-program.
             * @example wx0123456789abcdef
             */
            appId: string;
            /**
             * @description A WeChat user within one mini-program.
             * @example oAbC0123456789
             */
            openId: string;
            /**
             * @description A WeChat user across the mini-programs of one account.
             * @example uXyZ0123456789
             */
            unionId?: string;
        };
        /** @description An order whose fields have the right types. */
        NewMessage: {
            /**
             * @description In which mini-program; the first one if it is not named.
             * @example wx0123456789abcdef
             */
            appId?: string;
            /** @description The template's fields: 1 to 20, each as long as WeChat takes its kind. */
            data?: {
                [key: string]: string;
            };
            /**
             * @description Names the message: the same key and message again is the same order, which sends nothing twice. It is known for `MESSAGE_DAYS`.
             * @example order-20261127-001:paid
             */
            idempotencyKey: string;
            /** @description The language of the mini-program that a tap opens; `zh_CN` if it is not named. */
            lang?: components["schemas"]["MessageLanguage"];
            /** @description The reply of customer service. */
            message?: components["schemas"]["CustomMessage"];
            /** @description Which version of the mini-program a tap opens; `formal` if it is not named. */
            miniprogramState?: components["schemas"]["MiniProgramState"];
            /** @description The page that a tap on the message opens, with a query or without. */
            page?: string;
            /**
             * @description The template.
             * @example priTmplId-0123456789abcdefghijklmnopqrstuvw
             */
            templateId?: string;
            /** @description `subscribe` needs `templateId` and `data`, `customer_service` needs `message`; neither has fields of the other. */
            type: components["schemas"]["MessageKind"];
            /**
             * Format: uuid
             * @description Who gets it.
             * @example 01a20939-2967-7d17-98c2-7448ee036be2
             */
            userId: string;
        };
        /** @description A person from another backend. */
        NewUser: {
            /**
             * Format: uri
             * @description An https URL without credentials; the limit is that of its normalized form.
             * @example https://thirdwx.qlogo.cn/mmopen/a.png
             */
            avatarUrl?: string;
            gender?: components["schemas"]["Gender"];
            /** @description Those of a mini-program once. */
            identities: components["schemas"]["NewIdentity"][];
            /**
             * @description Trimmed, with at least one visible character, and without control characters; not shorter than NICKNAME_MIN_CHARACTERS (2).
             * @example 小明
             */
            nickname?: string;
            /**
             * @description 11 digits in mainland China; elsewhere `+` with country code and number.
             * @example 13800138000
             */
            phone?: string;
        };
        /** @description What the caller can do about a number that another user has: `resolvePhone`. */
        Offer: {
            /** @description What it is for. */
            choice: components["schemas"]["Choice"];
            /**
             * Format: int64
             * @description Seconds that it can be used.
             */
            expiresIn: number;
            /** @description 256 random bits, in base64url. */
            ticket: string;
        };
        /** @description An order, and how far it is. */
        Ordered: {
            /**
             * @description A message to a user.
             * @example 3c9909afec25354d551dae21590bb26e
             */
            messageId: string;
            status: components["schemas"]["MessageStatus"];
            /**
             * Format: uuid
             * @description A user.
             * @example 01a20939-2967-7d17-98c2-7448ee036be2
             */
            userId: string;
        };
        /** @description What became of one user's account. */
        Outcome: {
            /**
             * Format: uuid
             * @description A user.
             * @example 01a20939-2967-7d17-98c2-7448ee036be2
             */
            id: string;
            /** @description Why it was not deleted. */
            reason?: components["schemas"]["Reason"];
            /**
             * @description A deletion or a merge.
             * @example 8ec7bbdb9e68689d6a0779458142f841
             */
            saga?: string;
            status?: components["schemas"]["UserDeletionStatus"];
        };
        /** @description What a person is told whose account is being deleted. */
        PendingDeletion: {
            /**
             * Format: date-time
             * @description Until when it can be called back.
             */
            until: string;
        };
        /** @description A code of the phone number button. */
        PhoneBody: {
            /** @description A code of the phone number button. */
            code: string;
        };
        /** @description What became of the number. */
        PhoneOutcome: {
            /** @constant */
            status: "bound";
        } | {
            /** @description What it is for. */
            choice?: components["schemas"]["Choice"];
            /**
             * Format: int64
             * @description Seconds that it can be used.
             */
            expiresIn?: number;
            /** @constant */
            status: "taken";
            /** @description 256 random bits, in base64url. */
            ticket?: string;
        } | {
            /** @description The reason that `POST /user/phone` would have answered. */
            reason: components["schemas"]["Reason"];
            /** @constant */
            status: "failed";
        };
        /** @description A ticket, and what it is used for. */
        PhoneResolution: {
            /** @description As it was offered. */
            choice: components["schemas"]["Choice"];
            /** @description As it was offered. */
            ticket: string;
        };
        /** @description A picture that is to be uploaded. */
        Picture: {
            /**
             * @description The content type of a picture. Where WeChat checks pictures, it is not `image/webp`.
             * @enum {string}
             */
            contentType: "image/jpeg" | "image/png" | "image/webp" | "image/gif";
            /** @description In bytes, at most `AVATAR_MAX_BYTES`. */
            size: number;
        };
        /** @description A JSON merge patch of a profile. */
        ProfileChange: {
            /**
             * Format: uri
             * @description An https URL without credentials; the limit is that of its normalized form.
             * @example https://thirdwx.qlogo.cn/mmopen/a.png
             */
            avatarUrl?: string | null;
            gender?: components["schemas"]["Gender"] | null;
            /**
             * @description Trimmed, with at least one visible character, and without control characters; not shorter than NICKNAME_MIN_CHARACTERS (2).
             * @example 小明
             */
            nickname?: string | null;
        };
        /**
         * @description Why a request failed. Programs branch on this, not on `message`. New reasons can be added.
         * @enum {string}
         */
        Reason: "invalid_request" | "code_invalid" | "code_used" | "phone_code_invalid" | "content_risky" | "upload_invalid" | "target_invalid" | "decrypt_failed" | "token_missing" | "token_invalid" | "token_expired" | "session_revoked" | "refresh_invalid" | "refresh_reused" | "forbidden" | "own_rights" | "user_disabled" | "user_blocked" | "not_found" | "method_not_allowed" | "request_timeout" | "conflict" | "phone_taken" | "ticket_invalid" | "user_exists" | "account_deletion_pending" | "idempotency_key_reused" | "user_unreachable" | "upload_missing" | "session_key_stale" | "version_mismatch" | "body_too_large" | "uri_too_long" | "unsupported_media_type" | "rate_limited" | "headers_too_large" | "internal" | "not_configured" | "upstream_error" | "quota_exceeded" | "unavailable" | "upstream_timeout";
        /** @description What becomes of a delivery. */
        Redelivered: {
            /** @enum {string} */
            status: "queued";
        };
        /** @description A refresh token. */
        RefreshBody: {
            /** @description The newest that the client has. */
            refreshToken: string;
        };
        /** @description A document, and the version of it that users have to agree to. */
        RequiredConsent: {
            /**
             * @description The document.
             * @example privacy
             */
            document: string;
            /** @description From 1 to a million. */
            version: number;
        };
        /** @description How far a saga has come. */
        Resumed: {
            /** @enum {string} */
            status: "done" | "undone" | "unfinished" | "waiting";
            /** Format: date-time */
            until?: string;
        };
        /**
         * @description What a user may do.
         *
         *     - `user`: Use the mini-program.
         *     - `admin`: Manage users.
         * @enum {string}
         */
        Role: "user" | "admin";
        /** @description A saga that has not ended. Whom it is about stays in its row. */
        Saga: {
            /** Format: date-time */
            createdAt: string;
            /** @description Whether its last step failed; the log says why. */
            failed: boolean;
            /**
             * @description A deletion or a merge.
             * @example 8ec7bbdb9e68689d6a0779458142f841
             */
            id: string;
            /** @description `account-deletion` or `account-merge`. */
            kind: string;
            /** @description The step that is next. */
            step?: string;
            /**
             * Format: date-time
             * @description It goes on at this time, not earlier.
             */
            until?: string;
            /** Format: date-time */
            updatedAt: string;
        };
        /** @description What has not ended. */
        SagaList: {
            /** @description The oldest first. */
            sagas: components["schemas"]["Saga"][];
        };
        /** @description A session. */
        SessionInfo: {
            /**
             * @description A mini-program.
             * @example wx0123456789abcdef
             */
            appId: string;
            /** Format: date-time */
            createdAt: string;
            /** @description Whether the request came with its token. */
            current: boolean;
            /**
             * Format: uuid
             * @description A session.
             * @example 01a20939-2967-7d17-98c2-7448ee036be2
             */
            id: string;
            /** Format: date-time */
            refreshedAt: string;
            /** @description That of the login. */
            userAgent: string | null;
        };
        /** @description The active sessions of a user. */
        SessionList: {
            /** @description The newest first. */
            sessions: components["schemas"]["SessionInfo"][];
        };
        /** @description How many messages of a template a user agreed to receive. */
        Subscription: {
            /**
             * @description A mini-program.
             * @example wx0123456789abcdef
             */
            appId: string;
            /** @description How many more can be sent: each one uses up one. */
            remaining: number;
            /**
             * @description A template of subscribe messages.
             * @example priTmplId-0123456789abcdefghijklmnopqrstuvw
             */
            templateId: string;
        };
        /** @description The subscribe messages that a user agreed to receive. */
        SubscriptionList: {
            /** @description Of the mini-program that the caller is in. A template that is not here has none. */
            subscriptions: components["schemas"]["Subscription"][];
        };
        /** @description What a call of `wx.requestSubscribeMessage` brought. */
        SubscriptionResults: {
            /**
             * @description Names the call: recording it again adds nothing.
             * @example order-20261127-001:paid
             */
            requestId: string;
            /** @description By template, what the call said: `accept` and its kin count, every other word does not. */
            results: {
                [key: string]: string;
            };
        };
        /** @description The tokens of a session. */
        TokenPair: {
            /**
             * Format: int64
             * @description Seconds that the access token is still valid.
             */
            expiresIn: number;
            /**
             * Format: int64
             * @description Seconds that the refresh token is still valid.
             */
            refreshExpiresIn: number;
            /** @description The refresh token. */
            refreshToken: string;
            /** @description The JWT. */
            token: string;
            /**
             * @description `Bearer` (RFC 6750).
             * @constant
             */
            tokenType: "Bearer";
        };
        /** @description The JWK, and what it may be used with. */
        TransportKey: {
            alg: string;
            e: string;
            /** @description The accepted values of a JWE's `enc`. */
            enc: components["schemas"]["Enc"][];
            /** @description The id for the JWE's header. */
            kid: string;
            kty: string;
            n: string;
            use: string;
        };
        /** @description A URL link. */
        UrlLink: {
            /**
             * Format: date-time
             * @description From then on it opens nothing.
             */
            expiresAt: string;
            /** @description The address. */
            url: string;
        };
        /** @description A URL link that is to be made. */
        UrlLinkBody: {
            /** @description The version of the mini-program that it opens; `release` is the default. */
            envVersion?: components["schemas"]["EnvVersion"];
            /**
             * @description How long it is valid.
             * @default 30
             */
            expireDays: number;
            /** @description The page that it opens, without a query; the first page is the default. */
            path?: string;
            /** @description The query that the page gets. */
            query?: string;
        };
        /** @description A user, as its owner and administrators see it. */
        User: {
            /** @description An https URL. */
            avatarUrl: string | null;
            /** @description The versions of documents that the user agreed to and has not withdrawn; left out where there are none. A change of them is not a new `version` of the profile. */
            consents?: components["schemas"]["AgreedVersions"];
            /**
             * Format: date-time
             * @description RFC 3339, UTC.
             */
            createdAt: string;
            /** @description As WeChat codes it. */
            gender: components["schemas"]["Gender"] | null;
            /**
             * Format: uuid
             * @description UUIDv7.
             * @example 01a20939-2967-7d17-98c2-7448ee036be2
             */
            id: string;
            /**
             * @description At most 32 characters.
             * @example 小明
             */
            nickname: string | null;
            /** @description Unmasked, for its owner; to be masked before it is shown to others. */
            phone: string | null;
            /** @description What the user may do. */
            role: components["schemas"]["Role"];
            /** @description Whether the user may do anything. */
            status: components["schemas"]["UserStatus"];
            /**
             * Format: date-time
             * @description RFC 3339, UTC.
             */
            updatedAt: string;
            /** @description 1 at first; each change adds 1. */
            version: number;
        };
        /** @description Whose accounts to delete. */
        UserBatch: {
            ids: string[];
        };
        /** @description A JSON merge patch (RFC 7396), and the version that it was made for. */
        UserChange: {
            /**
             * Format: uri
             * @description An https URL without credentials; the limit is that of its normalized form.
             * @example https://thirdwx.qlogo.cn/mmopen/a.png
             */
            avatarUrl?: string | null;
            gender?: components["schemas"]["Gender"] | null;
            /**
             * @description Trimmed, with at least one visible character, and without control characters; not shorter than NICKNAME_MIN_CHARACTERS (2).
             * @example 小明
             */
            nickname?: string | null;
            role?: components["schemas"]["Role"];
            /** @enum {string} */
            status?: "active" | "disabled";
            /** @description That the change was made for. */
            version?: number;
        };
        /** @description How far a deletion has come. */
        UserDeletion: {
            /**
             * @description A deletion or a merge.
             * @example 8ec7bbdb9e68689d6a0779458142f841
             */
            saga: string;
            status: components["schemas"]["UserDeletionStatus"];
        };
        /**
         * @description - `deleted`: Nothing about the user is stored.
         *     - `deleting`: The account is barred, and the rest goes on without the client.
         * @enum {string}
         */
        UserDeletionStatus: "deleted" | "deleting";
        /** @description One user, with what surrounds them. */
        UserDetail: {
            /** @description An https URL. */
            avatarUrl: string | null;
            /** @description The versions of documents that the user agreed to and has not withdrawn; left out where there are none. A change of them is not a new `version` of the profile. */
            consents?: components["schemas"]["AgreedVersions"];
            /**
             * Format: date-time
             * @description RFC 3339, UTC.
             */
            createdAt: string;
            /** @description As WeChat codes it. */
            gender: components["schemas"]["Gender"] | null;
            /**
             * Format: uuid
             * @description UUIDv7.
             * @example 01a20939-2967-7d17-98c2-7448ee036be2
             */
            id: string;
            /** @description The mini-programs that know the user. */
            identities: components["schemas"]["KnownIn"][];
            /**
             * @description At most 32 characters.
             * @example 小明
             */
            nickname: string | null;
            /** @description Unmasked, for its owner; to be masked before it is shown to others. */
            phone: string | null;
            /** @description What the user may do. */
            role: components["schemas"]["Role"];
            /** @description What bars the account: its deletion, or a merge. */
            sagas: components["schemas"]["Saga"][];
            /** @description How many living sessions there are. */
            sessions: number;
            /** @description Whether the user may do anything. */
            status: components["schemas"]["UserStatus"];
            /**
             * Format: date-time
             * @description RFC 3339, UTC.
             */
            updatedAt: string;
            /** @description 1 at first; each change adds 1. */
            version: number;
        };
        /** @description The user object, with what the user has to agree to. */
        UserInfoResponse: {
            /** @description An https URL. */
            avatarUrl: string | null;
            /** @description The versions of documents that the user agreed to and has not withdrawn; left out where there are none. A change of them is not a new `version` of the profile. */
            consents?: components["schemas"]["AgreedVersions"];
            /** @description Left out where nothing is required of anybody. */
            consentsMissing?: components["schemas"]["RequiredConsent"][];
            /**
             * Format: date-time
             * @description RFC 3339, UTC.
             */
            createdAt: string;
            /** @description As WeChat codes it. */
            gender: components["schemas"]["Gender"] | null;
            /**
             * Format: uuid
             * @description UUIDv7.
             * @example 01a20939-2967-7d17-98c2-7448ee036be2
             */
            id: string;
            /**
             * @description At most 32 characters.
             * @example 小明
             */
            nickname: string | null;
            /** @description Unmasked, for its owner; to be masked before it is shown to others. */
            phone: string | null;
            /** @description What the user may do. */
            role: components["schemas"]["Role"];
            /** @description Whether the user may do anything. */
            status: components["schemas"]["UserStatus"];
            /**
             * Format: date-time
             * @description RFC 3339, UTC.
             */
            updatedAt: string;
            /** @description 1 at first; each change adds 1. */
            version: number;
        };
        /** @description A part of a list. */
        UserList: {
            /** @description The cursor of the next page; none at the end. */
            cursor: string | null;
            /** @description The users. */
            users: components["schemas"]["UserSummary"][];
        };
        /** @description Whom to search. */
        UserSearch: {
            /**
             * @description 11 digits in mainland China; elsewhere `+` with country code and number.
             * @example 13800138000
             */
            phone: string;
        };
        /**
         * @description Whether a user may do anything.
         *
         *     - `active`: Yes.
         *     - `disabled`: No: login, refresh and the profile are answered `403 user_disabled`; sessions can still be ended.
         *     - `barred`: No, and no token is accepted: the account is being deleted.
         * @enum {string}
         */
        UserStatus: "active" | "disabled" | "barred";
        /** @description A user as lists show them: without what is only needed of one user, and with a masked number. */
        UserSummary: {
            avatarUrl: string | null;
            /** Format: date-time */
            createdAt: string;
            /**
             * Format: uuid
             * @description A user.
             * @example 01a20939-2967-7d17-98c2-7448ee036be2
             */
            id: string;
            nickname: string | null;
            /** @description `138****8000`. */
            phone: string | null;
            role: components["schemas"]["Role"];
            status: components["schemas"]["UserStatus"];
            /** Format: date-time */
            updatedAt: string;
            version: number;
        };
        /** @description A field that broke a rule. */
        Violation: {
            /** @description Its path; empty for the body as a whole. */
            field: string;
            /** @description For people. */
            message: string;
            /**
             * @description The rule.
             * @enum {string}
             */
            rule: "json" | "required" | "type" | "unknown_field" | "duplicate_field" | "code" | "phone_code" | "app_id" | "open_id" | "union_id" | "identities" | "phone" | "choice" | "role" | "status" | "version" | "user_ids" | "config_key" | "limit" | "refresh_token" | "nickname" | "https_url" | "avatar_host" | "avatar_temporary" | "avatar_type" | "avatar_checked_type" | "avatar_size" | "avatar_key" | "gender" | "cursor" | "idempotency_key" | "user_id" | "message_type" | "template_id" | "template_data" | "template_field" | "page" | "message_text" | "message_title" | "message_description" | "media_id" | "subscription_results" | "consent_version" | "code_scene" | "page_path" | "code_width" | "env_version" | "link_query" | "expire_days" | "no_change";
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
