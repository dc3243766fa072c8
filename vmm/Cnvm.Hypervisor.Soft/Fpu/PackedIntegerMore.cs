using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Iced.Intel;
using unsafe VectorFn = delegate*<System.Runtime.Intrinsics.Vector128<byte>*, System.Runtime.Intrinsics.Vector128<byte>*, int, void>;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>Packed integer minimum and maximum, packing, shifts by a register, widening.</summary>
internal static unsafe class PackedIntegerMore
{
    /// <summary>The function of an instruction; null when it is not here.</summary>
    public static VectorFn Find(Mnemonic m) =>
        m switch
        {
            Mnemonic.Pmaxuw => &Pmaxuw,
            Mnemonic.Pmaxud => &Pmaxud,
            Mnemonic.Pmaxsd => &Pmaxsd,
            Mnemonic.Punpcklbw => &Punpcklbw,
            Mnemonic.Punpckhbw => &Punpckhbw,
            Mnemonic.Punpcklwd => &Punpcklwd,
            Mnemonic.Punpckhwd => &Punpckhwd,
            Mnemonic.Punpckldq => &Punpckldq,
            Mnemonic.Punpckhdq => &Punpckhdq,
            Mnemonic.Punpcklqdq => &Punpcklqdq,
            Mnemonic.Punpckhqdq => &Punpckhqdq,
            Mnemonic.Packsswb => &Packsswb,
            Mnemonic.Packssdw => &Packssdw,
            Mnemonic.Packuswb => &Packuswb,
            Mnemonic.Packusdw => &Packusdw,
            Mnemonic.Pshufb => &Pshufb,
            Mnemonic.Psignb => &Psignb,
            Mnemonic.Pabsb => &Pabsb,
            Mnemonic.Psignw => &Psignw,
            Mnemonic.Pabsw => &Pabsw,
            Mnemonic.Psignd => &Psignd,
            Mnemonic.Pabsd => &Pabsd,
            Mnemonic.Phaddw => &Phaddw,
            Mnemonic.Phaddd => &Phaddd,
            Mnemonic.Phaddsw => &Phaddsw,
            Mnemonic.Phsubw => &Phsubw,
            Mnemonic.Phsubd => &Phsubd,
            Mnemonic.Phsubsw => &Phsubsw,
            Mnemonic.Phminposuw => &Phminposuw,
            Mnemonic.Psllw => &Psllw,
            Mnemonic.Psrlw => &Psrlw,
            Mnemonic.Pslld => &Pslld,
            Mnemonic.Psrld => &Psrld,
            Mnemonic.Psllq => &Psllq,
            Mnemonic.Psrlq => &Psrlq,
            Mnemonic.Psraw => &Psraw,
            Mnemonic.Psrad => &Psrad,
            Mnemonic.Pmovsxbw => &Pmovsxbw,
            Mnemonic.Pmovsxbd => &Pmovsxbd,
            Mnemonic.Pmovsxbq => &Pmovsxbq,
            Mnemonic.Pmovsxwd => &Pmovsxwd,
            Mnemonic.Pmovsxwq => &Pmovsxwq,
            Mnemonic.Pmovsxdq => &Pmovsxdq,
            Mnemonic.Pmovzxbw => &Pmovzxbw,
            Mnemonic.Pmovzxbd => &Pmovzxbd,
            Mnemonic.Pmovzxbq => &Pmovzxbq,
            Mnemonic.Pmovzxwd => &Pmovzxwd,
            Mnemonic.Pmovzxwq => &Pmovzxwq,
            Mnemonic.Pmovzxdq => &Pmovzxdq,
            _ => null,
        };

    private static void Pmaxuw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.Max(d->AsUInt16(), s->AsUInt16()).AsByte();

    private static void Pmaxud(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.Max(d->AsUInt32(), s->AsUInt32()).AsByte();

    private static void Pmaxsd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.Max(d->AsInt32(), s->AsInt32()).AsByte();

    private static void Punpcklbw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.UnpackLow(d->AsByte(), s->AsByte()).AsByte();

    private static void Punpckhbw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.UnpackHigh(d->AsByte(), s->AsByte()).AsByte();

    private static void Punpcklwd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.UnpackLow(d->AsUInt16(), s->AsUInt16()).AsByte();

    private static void Punpckhwd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.UnpackHigh(d->AsUInt16(), s->AsUInt16()).AsByte();

    private static void Punpckldq(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.UnpackLow(d->AsUInt32(), s->AsUInt32()).AsByte();

    private static void Punpckhdq(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.UnpackHigh(d->AsUInt32(), s->AsUInt32()).AsByte();

    private static void Punpcklqdq(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.UnpackLow(d->AsUInt64(), s->AsUInt64()).AsByte();

    private static void Punpckhqdq(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.UnpackHigh(d->AsUInt64(), s->AsUInt64()).AsByte();

    private static void Packsswb(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.PackSignedSaturate(d->AsInt16(), s->AsInt16()).AsByte();

    private static void Packssdw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.PackSignedSaturate(d->AsInt32(), s->AsInt32()).AsByte();

    private static void Packuswb(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.PackUnsignedSaturate(d->AsInt16(), s->AsInt16()).AsByte();

    private static void Packusdw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.PackUnsignedSaturate(d->AsInt32(), s->AsInt32()).AsByte();

    private static void Pshufb(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Ssse3.Shuffle(d->AsByte(), s->AsByte()).AsByte();

    private static void Psignb(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Ssse3.Sign(d->AsSByte(), s->AsSByte()).AsByte();

    private static void Pabsb(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Ssse3.Abs(s->AsSByte()).AsByte();

    private static void Psignw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Ssse3.Sign(d->AsInt16(), s->AsInt16()).AsByte();

    private static void Pabsw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Ssse3.Abs(s->AsInt16()).AsByte();

    private static void Psignd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Ssse3.Sign(d->AsInt32(), s->AsInt32()).AsByte();

    private static void Pabsd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Ssse3.Abs(s->AsInt32()).AsByte();

    private static void Phaddw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Ssse3.HorizontalAdd(d->AsInt16(), s->AsInt16()).AsByte();

    private static void Phaddd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Ssse3.HorizontalAdd(d->AsInt32(), s->AsInt32()).AsByte();

    private static void Phaddsw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Ssse3.HorizontalAddSaturate(d->AsInt16(), s->AsInt16()).AsByte();

    private static void Phsubw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Ssse3.HorizontalSubtract(d->AsInt16(), s->AsInt16()).AsByte();

    private static void Phsubd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Ssse3.HorizontalSubtract(d->AsInt32(), s->AsInt32()).AsByte();

    private static void Phsubsw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Ssse3.HorizontalSubtractSaturate(d->AsInt16(), s->AsInt16()).AsByte();

    private static void Phminposuw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.MinHorizontal(s->AsUInt16()).AsByte();

    private static void Psllw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.ShiftLeftLogical(d->AsInt16(), s->AsInt16()).AsByte();

    private static void Psrlw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.ShiftRightLogical(d->AsInt16(), s->AsInt16()).AsByte();

    private static void Pslld(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.ShiftLeftLogical(d->AsInt32(), s->AsInt32()).AsByte();

    private static void Psrld(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.ShiftRightLogical(d->AsInt32(), s->AsInt32()).AsByte();

    private static void Psllq(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.ShiftLeftLogical(d->AsInt64(), s->AsInt64()).AsByte();

    private static void Psrlq(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.ShiftRightLogical(d->AsInt64(), s->AsInt64()).AsByte();

    private static void Psraw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.ShiftRightArithmetic(d->AsInt16(), s->AsInt16()).AsByte();

    private static void Psrad(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.ShiftRightArithmetic(d->AsInt32(), s->AsInt32()).AsByte();

    private static void Pmovsxbw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.ConvertToVector128Int16(s->AsSByte()).AsByte();

    private static void Pmovsxbd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.ConvertToVector128Int32(s->AsSByte()).AsByte();

    private static void Pmovsxbq(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.ConvertToVector128Int64(s->AsSByte()).AsByte();

    private static void Pmovsxwd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.ConvertToVector128Int32(s->AsInt16()).AsByte();

    private static void Pmovsxwq(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.ConvertToVector128Int64(s->AsInt16()).AsByte();

    private static void Pmovsxdq(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.ConvertToVector128Int64(s->AsInt32()).AsByte();

    private static void Pmovzxbw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.ConvertToVector128Int16(s->AsByte()).AsByte();

    private static void Pmovzxbd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.ConvertToVector128Int32(s->AsByte()).AsByte();

    private static void Pmovzxbq(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.ConvertToVector128Int64(s->AsByte()).AsByte();

    private static void Pmovzxwd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.ConvertToVector128Int32(s->AsUInt16()).AsByte();

    private static void Pmovzxwq(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.ConvertToVector128Int64(s->AsUInt16()).AsByte();

    private static void Pmovzxdq(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.ConvertToVector128Int64(s->AsUInt32()).AsByte();
}
