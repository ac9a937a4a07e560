/** Starts the parts of the page. */
import { readFaults, startBreaker } from './breaker.js'
import { byId } from './dom.js'
import { startExchanges } from './exchanges.js'
import { language, startTranslating, switchLanguage, t } from './language.js'
import { startLimits } from './limits.js'
import { about, breaker, isConnected, startLive } from './live.js'
import { startLog } from './log.js'
import { startPhone } from './phone.js'
import { startRows } from './rows.js'
import { startTabs } from './tabs.js'
import { nextTheme, theme } from './theme.js'
import { startTokens } from './tokens.js'
import { startUsers } from './users.js'

function renderHeader() {
  byId('switch-language').textContent = language.get() === 'zh' ? 'English' : '中文'
  byId('switch-language').lang = language.get() === 'zh' ? 'en' : 'zh-CN'
  const name = t(`theme_${theme.get()}`)
  byId('switch-theme').textContent = name
  byId('switch-theme').setAttribute('aria-label', t('themeNow', { theme: name }))
  byId('version').textContent = about.get() ? `v${about.get()?.version}` : ''
}

function renderState() {
  const state = breaker.get()?.state ?? 'unknown'
  const chip = byId('connection')
  const text = isConnected.get() ? t('connected', { state: t(`state_${state}`) }) : t('disconnected')
  if (chip.textContent !== text) chip.textContent = text
  chip.className = `chip-state ${isConnected.get() ? state : 'lost'}`
}

startTranslating()
startTabs()
startPhone()
startExchanges()
startTokens()
startRows()
startLimits()
startBreaker()
startLog()
startUsers()

byId('switch-language').addEventListener('click', switchLanguage)
byId('switch-theme').addEventListener('click', nextTheme)
for (const store of [language, theme, about]) store.subscribe(renderHeader)
for (const store of [language, breaker, isConnected]) store.subscribe(renderState)
about.subscribe((now) => {
  if (now?.simulated) readFaults()
})
renderHeader()
renderState()
startLive()
