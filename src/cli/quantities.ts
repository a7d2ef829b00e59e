/** Numbers, sizes and times as people read them. */
import { plural } from '../transfer/plural.js'

/** 1234567 -> `1,234,567`. */
export function countText(n: number): string {
  return Math.round(n).toLocaleString('en-US')
}

/** `1 key`, `1,234 keys`. */
export function keysText(n: number): string {
  return `${countText(n)} ${plural(n, 'key')}`
}

/** `999 B`, `12.3 KB`, `4.5 GB`: units of 1024, as Redis and Valkey count. */
export function bytesText(bytes: number): string {
  let size = bytes
  for (const unit of ['B', 'KB', 'MB', 'GB']) {
    if (size < 1000) return `${unit === 'B' || size >= 100 ? Math.round(size) : size.toFixed(1)} ${unit}`
    size /= 1024
  }
  return `${size.toFixed(1)} TB`
}

/** `0:07`, `12:34`, `3:12:34`, `5 d 3:12:34`. */
export function clockText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  const two = (n: number): string => String(n).padStart(2, '0')
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60]
  const rest = two(seconds % 60)
  if (days > 0) return `${days} d ${hours}:${two(minutes)}:${rest}`
  return hours > 0 ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`
}

/** `850 ms`, `12.3 s`, `12:34 min`. */
export function durationText(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : `${clockText(ms)} ${ms < 3_600_000 ? 'min' : 'h'}`
}
