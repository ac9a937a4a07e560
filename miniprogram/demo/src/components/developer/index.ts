import { client } from '../../utils/client'
import { usesSimulator } from '../../utils/environment'
import { ask } from '../../utils/run'
import { simulatedUser, simulateUser } from '../../utils/simulator'

/** 只在开发版中出现：选择由微信模拟器扮演的用户。事件 `change`：换了用户。 */
Component({
  data: { usesSimulator, user: '', users: ['alice', 'bob', 'carol'] },
  lifetimes: {
    attached() {
      if (usesSimulator) this.setData({ user: simulatedUser() })
    },
  },
  methods: {
    async choose({ detail }: WechatMiniprogram.PickerChange) {
      const user = this.data.users[Number(detail.value)]
      if (!user || user === this.data.user) return
      if (!(await ask('切换模拟用户', `退出当前账号，以 ${user} 的身份登录。`, '切换'))) return
      // 没有网络时也可切换：本机总会退出。
      await client.logout().catch(() => undefined)
      simulateUser(user)
      this.setData({ user })
      this.triggerEvent('change')
    },
  },
})
