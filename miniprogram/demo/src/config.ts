/** 后端地址，按小程序的版本区分：`develop` 开发版（开发者工具、真机预览），`trial` 体验版，`release` 正式版。 */
export const SERVERS = {
  develop: 'http://127.0.0.1:9000',
  trial: 'https://api.example.com',
  release: 'https://api.example.com',
}

/**
 * 后端是否使用 `make run` 自带的微信模拟器。模拟器不认识微信签发的 code，登录和手机号的 code 须从模拟器获取。
 * 只在开发版、且后端在本机时有效。本地后端配置了真实的 AppID 和 AppSecret 时，改为 `false`。
 */
export const USE_SIMULATOR = true
