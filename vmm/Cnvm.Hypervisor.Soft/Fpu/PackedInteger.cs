using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Iced.Intel;
using unsafe VectorFn = delegate*<System.Runtime.Intrinsics.Vector128<byte>*, System.Runtime.Intrinsics.Vector128<byte>*, int, void>;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>Packed integer arithmetic, logic and comparison.</summary>
internal static unsafe class PackedInteger
{
    /// <summary>The function of an instruction; null when it is not here.</summary>
    public static VectorFn Find(Mnemonic m) =>
        m switch
        {
            Mnemonic.Paddb => &Paddb,
            Mnemonic.Psubb => &Psubb,
            Mnemonic.Paddw => &Paddw,
            Mnemonic.Psubw => &Psubw,
            Mnemonic.Paddd => &Paddd,
            Mnemonic.Psubd => &Psubd,
            Mnemonic.Paddq => &Paddq,
            Mnemonic.Psubq => &Psubq,
            Mnemonic.Paddsb => &Paddsb,
            Mnemonic.Paddsw => &Paddsw,
            Mnemonic.Paddusb => &Paddusb,
            Mnemonic.Paddusw => &Paddusw,
            Mnemonic.Psubsb => &Psubsb,
            Mnemonic.Psubsw => &Psubsw,
            Mnemonic.Psubusb => &Psubusb,
            Mnemonic.Psubusw => &Psubusw,
            Mnemonic.Pand => &Pand,
            Mnemonic.Por => &Por,
            Mnemonic.Pxor => &Pxor,
            Mnemonic.Pandn => &Pandn,
            Mnemonic.Pcmpeqb => &Pcmpeqb,
            Mnemonic.Pcmpeqw => &Pcmpeqw,
            Mnemonic.Pcmpeqd => &Pcmpeqd,
            Mnemonic.Pcmpeqq => &Pcmpeqq,
            Mnemonic.Pcmpgtb => &Pcmpgtb,
            Mnemonic.Pcmpgtw => &Pcmpgtw,
            Mnemonic.Pcmpgtd => &Pcmpgtd,
            Mnemonic.Pcmpgtq => &Pcmpgtq,
            Mnemonic.Pmullw => &Pmullw,
            Mnemonic.Pmulhw => &Pmulhw,
            Mnemonic.Pmulhuw => &Pmulhuw,
            Mnemonic.Pmuludq => &Pmuludq,
            Mnemonic.Pmuldq => &Pmuldq,
            Mnemonic.Pmulld => &Pmulld,
            Mnemonic.Pmaddwd => &Pmaddwd,
            Mnemonic.Pmaddubsw => &Pmaddubsw,
            Mnemonic.Pmulhrsw => &Pmulhrsw,
            Mnemonic.Pavgb => &Pavgb,
            Mnemonic.Pavgw => &Pavgw,
            Mnemonic.Psadbw => &Psadbw,
            Mnemonic.Pminub => &Pminub,
            Mnemonic.Pminsw => &Pminsw,
            Mnemonic.Pminsb => &Pminsb,
            Mnemonic.Pminuw => &Pminuw,
            Mnemonic.Pminud => &Pminud,
            Mnemonic.Pminsd => &Pminsd,
            Mnemonic.Pmaxub => &Pmaxub,
            Mnemonic.Pmaxsw => &Pmaxsw,
            Mnemonic.Pmaxsb => &Pmaxsb,
            _ => null,
        };

    private static void Paddb(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = (d->AsByte() + s->AsByte()).AsByte();

    private static void Psubb(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = (d->AsByte() - s->AsByte()).AsByte();

    private static void Paddw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = (d->AsUInt16() + s->AsUInt16()).AsByte();

    private static void Psubw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = (d->AsUInt16() - s->AsUInt16()).AsByte();

    private static void Paddd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = (d->AsUInt32() + s->AsUInt32()).AsByte();

    private static void Psubd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = (d->AsUInt32() - s->AsUInt32()).AsByte();

    private static void Paddq(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = (d->AsUInt64() + s->AsUInt64()).AsByte();

    private static void Psubq(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = (d->AsUInt64() - s->AsUInt64()).AsByte();

    private static void Paddsb(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.AddSaturate(d->AsSByte(), s->AsSByte()).AsByte();

    private static void Paddsw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.AddSaturate(d->AsInt16(), s->AsInt16()).AsByte();

    private static void Paddusb(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.AddSaturate(d->AsByte(), s->AsByte()).AsByte();

    private static void Paddusw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.AddSaturate(d->AsUInt16(), s->AsUInt16()).AsByte();

    private static void Psubsb(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.SubtractSaturate(d->AsSByte(), s->AsSByte()).AsByte();

    private static void Psubsw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.SubtractSaturate(d->AsInt16(), s->AsInt16()).AsByte();

    private static void Psubusb(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.SubtractSaturate(d->AsByte(), s->AsByte()).AsByte();

    private static void Psubusw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.SubtractSaturate(d->AsUInt16(), s->AsUInt16()).AsByte();

    private static void Pand(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = *d & *s;

    private static void Por(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = *d | *s;

    private static void Pxor(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = *d ^ *s;

    private static void Pandn(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.AndNot(*d, *s);

    private static void Pcmpeqb(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.CompareEqual(d->AsByte(), s->AsByte()).AsByte();

    private static void Pcmpeqw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.CompareEqual(d->AsUInt16(), s->AsUInt16()).AsByte();

    private static void Pcmpeqd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.CompareEqual(d->AsUInt32(), s->AsUInt32()).AsByte();

    private static void Pcmpeqq(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.CompareEqual(d->AsUInt64(), s->AsUInt64()).AsByte();

    private static void Pcmpgtb(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.CompareGreaterThan(d->AsSByte(), s->AsSByte()).AsByte();

    private static void Pcmpgtw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.CompareGreaterThan(d->AsInt16(), s->AsInt16()).AsByte();

    private static void Pcmpgtd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.CompareGreaterThan(d->AsInt32(), s->AsInt32()).AsByte();

    private static void Pcmpgtq(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse42.CompareGreaterThan(d->AsInt64(), s->AsInt64()).AsByte();

    private static void Pmullw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.MultiplyLow(d->AsInt16(), s->AsInt16()).AsByte();

    private static void Pmulhw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.MultiplyHigh(d->AsInt16(), s->AsInt16()).AsByte();

    private static void Pmulhuw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.MultiplyHigh(d->AsUInt16(), s->AsUInt16()).AsByte();

    private static void Pmuludq(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.Multiply(d->AsUInt32(), s->AsUInt32()).AsByte();

    private static void Pmuldq(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.Multiply(d->AsInt32(), s->AsInt32()).AsByte();

    private static void Pmulld(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.MultiplyLow(d->AsInt32(), s->AsInt32()).AsByte();

    private static void Pmaddwd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.MultiplyAddAdjacent(d->AsInt16(), s->AsInt16()).AsByte();

    private static void Pmaddubsw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Ssse3.MultiplyAddAdjacent(d->AsByte(), s->AsSByte()).AsByte();

    private static void Pmulhrsw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Ssse3.MultiplyHighRoundScale(d->AsInt16(), s->AsInt16()).AsByte();

    private static void Pavgb(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.Average(d->AsByte(), s->AsByte()).AsByte();

    private static void Pavgw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.Average(d->AsUInt16(), s->AsUInt16()).AsByte();

    private static void Psadbw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.SumAbsoluteDifferences(d->AsByte(), s->AsByte()).AsByte();

    private static void Pminub(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.Min(d->AsByte(), s->AsByte()).AsByte();

    private static void Pminsw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.Min(d->AsInt16(), s->AsInt16()).AsByte();

    private static void Pminsb(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.Min(d->AsSByte(), s->AsSByte()).AsByte();

    private static void Pminuw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.Min(d->AsUInt16(), s->AsUInt16()).AsByte();

    private static void Pminud(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.Min(d->AsUInt32(), s->AsUInt32()).AsByte();

    private static void Pminsd(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.Min(d->AsInt32(), s->AsInt32()).AsByte();

    private static void Pmaxub(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.Max(d->AsByte(), s->AsByte()).AsByte();

    private static void Pmaxsw(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse2.Max(d->AsInt16(), s->AsInt16()).AsByte();

    private static void Pmaxsb(Vector128<byte>* d, Vector128<byte>* s, int imm) => *d = Sse41.Max(d->AsSByte(), s->AsSByte()).AsByte();
}
