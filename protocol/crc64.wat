;; CRC-64/Jones over a window of linear memory: folding, then a table.
;;
;; A table-driven checksum spends four instructions on every byte. Folding first shortens the input with
;; nothing but xors. Let M carry a checksum's state past one zero byte. M is a 64 x 64 matrix over GF(2), so some
;; of its powers have a sum of zero, and a search (pairs of pairs of pairs of powers, joined on their low bits)
;; finds eight of them close together:
;;
;;   M^2813 = M^2125 + M^1129 + M^1026 + M^869 + M^302 + M^169 + 1
;;
;; What a byte contributes to the checksum is M^n of it, n being the number of bytes from it to the end. So a byte
;; may be erased if it is xored into the bytes 688, 1684, 1787, 1944, 2511, 2644
;; and 2813 places after it. Done from the front to all but the last 2816 bytes, that leaves input which is zero
;; up to those, and only they go through the table. The nearest target is 688 bytes away, so whole vectors of 16
;; bytes can be gathered at once: byte i becomes byte i xor the seven (already gathered) bytes that far before it.
;;
;; Memory, filled by crc64.ts:
;;   0x00000  8 x 256 x i64   slicing tables; table k (at k * 2048) carries a byte through k further zero bytes
;;   0x04000  i64             the state, in and out
;;   0x05000  2816 bytes      the last bytes gathered, copied here; then zeros, 2848 bytes
;;   0x0f500  2816 bytes      the bytes gathered before the window: zeros, or the end of the last window
;;   0x10000  the window that holds the input; gathering overwrites it
;;
;; Long input comes in windows, `fold(end)` for each but the last and `finish(end)` for that, which must have
;; at least 3840 bytes if a fold came before it. Both take the bytes [0x10000, end); `fold` takes multiples of 64.
;; scripts/wasm.mjs turns this text into crc64-wasm.ts.
(module
  (memory (export "memory") 2)

  ;; Gathers the bytes [0x10000, stop). The state is the checksum of what came before: xored into the first 8
  ;; bytes, it becomes part of the input. Offsets are taken from 2816 bytes back, so that they are positive.
  (func $gather (param $stop i32)
    (local $back i32)
    (i64.store (i32.const 0x10000) (i64.xor (i64.load (i32.const 0x4000)) (i64.load (i32.const 0x10000))))
    (i64.store (i32.const 0x4000) (i64.const 0))
    (local.set $back (i32.const 0xf500))
    (local.set $stop (i32.sub (local.get $stop) (i32.const 2816)))
    (loop $vectors
      (v128.store offset=2816 (local.get $back)
        (v128.xor
          (v128.xor
            (v128.xor
              (v128.load offset=2816 (local.get $back))
              (v128.load offset=2128 (local.get $back)))
            (v128.xor
              (v128.load offset=1132 (local.get $back))
              (v128.load offset=1029 (local.get $back))))
          (v128.xor
            (v128.xor
              (v128.load offset=872 (local.get $back))
              (v128.load offset=305 (local.get $back)))
            (v128.xor
              (v128.load offset=172 (local.get $back))
              (v128.load offset=3 (local.get $back))))))
      (v128.store offset=2832 (local.get $back)
        (v128.xor
          (v128.xor
            (v128.xor
              (v128.load offset=2832 (local.get $back))
              (v128.load offset=2144 (local.get $back)))
            (v128.xor
              (v128.load offset=1148 (local.get $back))
              (v128.load offset=1045 (local.get $back))))
          (v128.xor
            (v128.xor
              (v128.load offset=888 (local.get $back))
              (v128.load offset=321 (local.get $back)))
            (v128.xor
              (v128.load offset=188 (local.get $back))
              (v128.load offset=19 (local.get $back))))))
      (v128.store offset=2848 (local.get $back)
        (v128.xor
          (v128.xor
            (v128.xor
              (v128.load offset=2848 (local.get $back))
              (v128.load offset=2160 (local.get $back)))
            (v128.xor
              (v128.load offset=1164 (local.get $back))
              (v128.load offset=1061 (local.get $back))))
          (v128.xor
            (v128.xor
              (v128.load offset=904 (local.get $back))
              (v128.load offset=337 (local.get $back)))
            (v128.xor
              (v128.load offset=204 (local.get $back))
              (v128.load offset=35 (local.get $back))))))
      (v128.store offset=2864 (local.get $back)
        (v128.xor
          (v128.xor
            (v128.xor
              (v128.load offset=2864 (local.get $back))
              (v128.load offset=2176 (local.get $back)))
            (v128.xor
              (v128.load offset=1180 (local.get $back))
              (v128.load offset=1077 (local.get $back))))
          (v128.xor
            (v128.xor
              (v128.load offset=920 (local.get $back))
              (v128.load offset=353 (local.get $back)))
            (v128.xor
              (v128.load offset=220 (local.get $back))
              (v128.load offset=51 (local.get $back))))))
      (local.set $back (i32.add (local.get $back) (i32.const 64)))
      (br_if $vectors (i32.lt_u (local.get $back) (local.get $stop)))))

  (func (export "fold") (param $end i32)
    (call $gather (local.get $end))
    (memory.copy (i32.const 0xf500) (i32.sub (local.get $end) (i32.const 2816)) (i32.const 2816)))

  (func (export "finish") (param $end i32)
    (local $p i32) (local $q i32) (local $stop i32)
    (local $state i64) (local $x i32) (local $y i32)
    (local.set $p (i32.const 0x10000))

    ;; Below this the 2816 bytes that are left would be most of the work.
    (if (i32.ge_u (i32.sub (local.get $end) (local.get $p)) (i32.const 3840))
      (then
        (local.set $stop
          (i32.add
            (local.get $p)
            (i32.and (i32.sub (i32.sub (local.get $end) (local.get $p)) (i32.const 2816)) (i32.const -64))))
        (call $gather (local.get $stop))

        ;; The last 2816 bytes receive from erased bytes only, not from each other: they gather from a copy
        ;; of what is before them, followed by zeros.
        (memory.copy (i32.const 0x5000) (i32.sub (local.get $stop) (i32.const 2816)) (i32.const 2816))
        (memory.fill (i32.const 0xf500) (i32.const 0) (i32.const 2816))
        (local.set $p (local.get $stop))
        (local.set $q (i32.const 0x5000))
        (loop $tail
          (v128.store (local.get $p)
            (v128.xor
              (v128.xor
                (v128.xor
                  (v128.load (local.get $p))
                  (v128.load offset=2128 (local.get $q)))
                (v128.xor
                  (v128.load offset=1132 (local.get $q))
                  (v128.load offset=1029 (local.get $q))))
              (v128.xor
                (v128.xor
                  (v128.load offset=872 (local.get $q))
                  (v128.load offset=305 (local.get $q)))
                (v128.xor
                  (v128.load offset=172 (local.get $q))
                  (v128.load offset=3 (local.get $q))))))
          (local.set $p (i32.add (local.get $p) (i32.const 16)))
          (local.set $q (i32.add (local.get $q) (i32.const 16)))
          (br_if $tail (i32.lt_u (local.get $q) (i32.const 23296))))
        (local.set $p (local.get $stop))))

    (local.set $state (i64.load (i32.const 0x4000)))

    ;; Slicing by 8: the state xor 8 bytes, bytes 0 to 3 of it through tables 7 to 4, bytes 4 to 7 through 3 to 0.
    (block $words_done
      (loop $words
        (br_if $words_done (i32.lt_u (i32.sub (local.get $end) (local.get $p)) (i32.const 8)))
        (local.set $state (i64.xor (local.get $state) (i64.load (local.get $p))))
        (local.set $x (i32.wrap_i64 (local.get $state)))
        (local.set $y (i32.wrap_i64 (i64.shr_u (local.get $state) (i64.const 32))))
        (local.set $state
          (i64.xor
            (i64.xor
              (i64.xor
                (i64.load offset=14336 (i32.and (i32.shl (local.get $x) (i32.const 3)) (i32.const 0x7f8)))
                (i64.load offset=12288 (i32.and (i32.shr_u (local.get $x) (i32.const 5)) (i32.const 0x7f8))))
              (i64.xor
                (i64.load offset=10240 (i32.and (i32.shr_u (local.get $x) (i32.const 13)) (i32.const 0x7f8)))
                (i64.load offset=8192 (i32.and (i32.shr_u (local.get $x) (i32.const 21)) (i32.const 0x7f8)))))
            (i64.xor
              (i64.xor
                (i64.load offset=6144 (i32.and (i32.shl (local.get $y) (i32.const 3)) (i32.const 0x7f8)))
                (i64.load offset=4096 (i32.and (i32.shr_u (local.get $y) (i32.const 5)) (i32.const 0x7f8))))
              (i64.xor
                (i64.load offset=2048 (i32.and (i32.shr_u (local.get $y) (i32.const 13)) (i32.const 0x7f8)))
                (i64.load offset=0 (i32.and (i32.shr_u (local.get $y) (i32.const 21)) (i32.const 0x7f8)))))))
        (local.set $p (i32.add (local.get $p) (i32.const 8)))
        (br $words)))

    (block $bytes_done
      (loop $bytes
        (br_if $bytes_done (i32.ge_u (local.get $p) (local.get $end)))
        (local.set $x (i32.xor (i32.wrap_i64 (local.get $state)) (i32.load8_u (local.get $p))))
        (local.set $state
          (i64.xor
            (i64.shr_u (local.get $state) (i64.const 8))
            (i64.load offset=0 (i32.and (i32.shl (local.get $x) (i32.const 3)) (i32.const 0x7f8)))))
        (local.set $p (i32.add (local.get $p) (i32.const 1)))
        (br $bytes)))

    (i64.store (i32.const 0x4000) (local.get $state))))
