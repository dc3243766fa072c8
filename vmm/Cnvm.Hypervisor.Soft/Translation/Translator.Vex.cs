using System.Runtime.Intrinsics;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Fpu;
using Cnvm.Hypervisor.Soft.Ops;
using Iced.Intel;
using unsafe FloatFn = delegate*<System.Runtime.Intrinsics.Vector128<byte>*, System.Runtime.Intrinsics.Vector128<byte>*, int, uint, uint>;
using unsafe VectorFn = delegate*<System.Runtime.Intrinsics.Vector128<byte>*, System.Runtime.Intrinsics.Vector128<byte>*, int, void>;

namespace Cnvm.Hypervisor.Soft.Translation;

/// <summary>AVX, AVX2, FMA and F16C: the functions of the legacy forms, applied lane by lane.</summary>
internal sealed unsafe partial class Translator
{
    private static int Ymm(Register r) => r >= Register.YMM0 ? r - Register.YMM0 : r - Register.XMM0;

    private static ushort Vec(Register r) => (ushort)(Cpu.VectorOffset + (Ymm(r) * 32));

    private bool IsWide
    {
        get
        {
            for (int i = 0; i < _i.OpCount; i++)
            {
                if ((IsRegister(i) && _i.GetOpRegister(i).IsYMM()) || (IsMemory(i) && _i.MemorySize.GetSize() == 32))
                {
                    return true;
                }
            }

            return false;
        }
    }

    private bool EmitVex()
    {
        int start = _count;
        bool first = _first;
        bool known = EmitVexLanes() || EmitVexMove() || EmitVexShuffle() || EmitVexRest();
        if (!known || (_mode & ModeBits.Avx) == 0 || (_mode & ModeBits.TaskSwitched) != 0)
        {
            _count = start;
            _first = first;
            EmitRaise(known && (_mode & ModeBits.Avx) != 0 ? Vectors.NM : Vectors.UD);
        }

        return true;
    }

    /// <summary>Offset of a vector source: a register, or the temporary after a load of the operand's size.</summary>
    private ushort VexSource(int operand, bool aligned = false)
    {
        if (IsRegister(operand))
        {
            return Vec(_i.GetOpRegister(operand));
        }

        if (_i.MemorySize.GetSize() != 32)
        {
            return VectorSource(operand, aligned);
        }

        AddMemory(&MemoryForms.Load<VectorOps.LoadWide, TwoLanes>, 32, write: false)->Dst = Cpu.VectorTempOffset;
        return Cpu.VectorTempOffset;
    }

    private bool EmitVexLanes()
    {
        Mnemonic m = _i.Mnemonic;
        (FusedKind kind, int order, bool isDouble, bool isScalar) = FusedTable.Find(m);
        if (kind != FusedKind.None)
        {
            EmitFused(kind, order, isDouble, isScalar);
            return true;
        }

        bool moveToMemory = IsMemory(0) && m != Mnemonic.Vcvtps2ph;
        if (moveToMemory || (m is Mnemonic.Vmovss or Mnemonic.Vmovsd && _i.OpCount == 2) || m is Mnemonic.Vpextrw)
        {
            return false;
        }

        int operands = _i.OpCount;
        if (operands == 0)
        {
            return false;
        }

        bool immediate = _i.GetOpKind(operands - 1) == OpKind.Immediate8;
        Mnemonic legacy = VexNames.Legacy(m);
        FloatFn floatFn = FloatTable.Find(legacy == Mnemonic.INVALID ? m : legacy);
        VectorFn fn = null;
        if (floatFn == null)
        {
            fn = immediate ? PackedImmediate.Find(legacy) : PackedInteger.Find(legacy);
            fn = fn == null && !immediate ? PackedIntegerMore.Find(legacy) : fn;
            fn = fn == null && !immediate ? PackedFloat.Find(legacy) : fn;
            fn = fn == null && !immediate ? AesNi.Find(legacy) : fn;
            fn = fn == null ? immediate ? VexFunctions.FindImmediate(m) : VexFunctions.Find(m) : fn;
        }

        if (fn == null && floatFn == null)
        {
            return false;
        }

        bool wide = IsWide;
        if (wide && m is Mnemonic.Vaesenc or Mnemonic.Vaesenclast or Mnemonic.Vaesdec or Mnemonic.Vaesdeclast or Mnemonic.Vpclmulqdq)
        {
            // VAES and VPCLMULQDQ, which are not there.
            return false;
        }

        int registers = operands - (immediate ? 1 : 0);
        int second = registers - 1;
        ushort source = m == Mnemonic.Vcvtps2ph ? Vec(_i.Op1Register) : VexSource(second);
        int number = immediate ? (int)_i.GetImmediate(operands - 1) & 0xff : 0;
        if (m == Mnemonic.Vinsertps && IsMemory(2))
        {
            number &= 0x3f;
        }

        Op* o = Add(wide && m == Mnemonic.Vdpps ? &VexOps.DotProduct : floatFn != null ? &VexOps.ApplyFloat : &VexOps.Apply);
        o->Dst = IsMemory(0) ? (ushort)Cpu.VectorTempOffset : Vec(_i.Op0Register);
        o->Src = source;
        o->Index = (byte)(registers == 3 ? Ymm(_i.Op1Register) : IsRegister(second) ? Ymm(_i.GetOpRegister(second)) : 0);
        o->Disp = m is Mnemonic.Vcmpps or Mnemonic.Vcmppd or Mnemonic.Vcmpss or Mnemonic.Vcmpsd ? number & 0x1f : number;
        o->Imm = floatFn != null ? (nint)floatFn : (nint)fn;
        o->Scale = wide ? VexOps.Wide : (byte)0;
        o->Base = LaneStep(m);
        o->Seg = ImmediateStep(m);
        if (m is Mnemonic.Vcvtpd2ps or Mnemonic.Vcvtpd2dq or Mnemonic.Vcvttpd2dq or Mnemonic.Vcvtps2ph)
        {
            o->Scale |= VexOps.Narrowing;
        }

        if (IsMemory(0))
        {
            EmitHalfStore(wide);
        }

        return true;
    }

    /// <summary>Stores the result of VCVTPS2PH.</summary>
    private void EmitHalfStore(bool wide)
    {
        if (wide)
        {
            AddMemory(&MemoryForms.Store<VectorOps.StoreUnaligned, Vector128<byte>>, 16, write: true)->Src = Cpu.VectorTempOffset;
        }
        else
        {
            StoreElement(Cpu.VectorTempOffset, 8);
        }
    }

    /// <summary>Where the second operand of the upper lane begins.</summary>
    private static byte LaneStep(Mnemonic m)
    {
        switch (m)
        {
            case Mnemonic.Vpmovsxbw or Mnemonic.Vpmovsxwd or Mnemonic.Vpmovsxdq or Mnemonic.Vpmovzxbw or Mnemonic.Vpmovzxwd
                or Mnemonic.Vpmovzxdq
                or Mnemonic.Vcvtps2pd or Mnemonic.Vcvtdq2pd or Mnemonic.Vcvtph2ps:
                return 8;
            case Mnemonic.Vpmovsxbd or Mnemonic.Vpmovsxwq or Mnemonic.Vpmovzxbd or Mnemonic.Vpmovzxwq:
                return 4;
            case Mnemonic.Vpmovsxbq or Mnemonic.Vpmovzxbq:
                return 2;
            case Mnemonic.Vpsllw or Mnemonic.Vpslld or Mnemonic.Vpsllq or Mnemonic.Vpsrlw or Mnemonic.Vpsrld or Mnemonic.Vpsrlq
                or Mnemonic.Vpsraw or Mnemonic.Vpsrad:
                // One count for all elements; with an immediate this operand is not looked at.
                return 0;
            default:
                return 16;
        }
    }

    /// <summary>Bits of the immediate that belong to the lower lane alone.</summary>
    private static byte ImmediateStep(Mnemonic m) => m switch
    {
        Mnemonic.Vblendps or Mnemonic.Vpblendd => 4,
        Mnemonic.Vblendpd or Mnemonic.Vshufpd or Mnemonic.Vpermilpd => 2,
        Mnemonic.Vmpsadbw => 3,
        _ => 0,
    };

    private void EmitFused(FusedKind kind, int order, bool isDouble, bool isScalar)
    {
        bool wide = IsWide;
        ushort source = VexSource(2);
        Op* o = Add(isDouble ? &FusedOps.Double : &FusedOps.Single);
        o->Dst = Vec(_i.Op0Register);
        o->Index = (byte)Ymm(_i.Op1Register);
        o->Src = source;
        o->Base = (byte)(isScalar ? 1 : (wide ? 32 : 16) / (isDouble ? 8 : 4));
        o->Scale = wide ? VexOps.Wide : (byte)0;
        o->Disp = ((int)kind << 12) | order;
    }
}
