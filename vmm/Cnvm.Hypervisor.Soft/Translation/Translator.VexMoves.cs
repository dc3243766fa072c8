using System.Runtime.Intrinsics;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Fpu;
using Cnvm.Hypervisor.Soft.Ops;
using Iced.Intel;

namespace Cnvm.Hypervisor.Soft.Translation;

/// <summary>VEX instructions that are not lane-wise: moves, shuffles across lanes, masked accesses, and those that touch general
/// registers.</summary>
internal sealed unsafe partial class Translator
{
    private bool EmitVexMove()
    {
        switch (_i.Mnemonic)
        {
            case Mnemonic.Vmovaps or Mnemonic.Vmovapd or Mnemonic.Vmovdqa or Mnemonic.Vmovntps or Mnemonic.Vmovntpd or Mnemonic.Vmovntdq
                or Mnemonic.Vmovntdqa:
                EmitVexWholeMove(aligned: true);
                return true;
            case Mnemonic.Vmovups or Mnemonic.Vmovupd or Mnemonic.Vmovdqu or Mnemonic.Vlddqu:
                EmitVexWholeMove(aligned: false);
                return true;
            case Mnemonic.Vmovss or Mnemonic.Vmovsd:
                EmitScalarMove(_i.Mnemonic == Mnemonic.Vmovss ? 4 : 8, clear: false);
                ClearUpperOfResult();
                return true;
            case Mnemonic.Vmovd or Mnemonic.Vmovq:
                EmitMovd(_i.Mnemonic == Mnemonic.Vmovd ? 4 : 8);
                ClearUpperOfResult();
                return true;
            case Mnemonic.Vmovlps or Mnemonic.Vmovlpd or Mnemonic.Vmovhps or Mnemonic.Vmovhpd when IsMemory(0):
                ushort half = _i.Mnemonic is Mnemonic.Vmovhps or Mnemonic.Vmovhpd ? (ushort)8 : (ushort)0;
                StoreElement((ushort)(Xmm(_i.Op1Register) + half), 8);
                return true;
            case Mnemonic.Vpinsrb:
                EmitVexInsert(1);
                return true;
            case Mnemonic.Vpinsrw:
                EmitVexInsert(2);
                return true;
            case Mnemonic.Vpinsrd:
                EmitVexInsert(4);
                return true;
            case Mnemonic.Vpinsrq:
                EmitVexInsert(8);
                return true;
            default:
                return false;
        }
    }

    private void ClearUpperOfResult()
    {
        if (IsRegister(0) && IsXmm(_i.Op0Register))
        {
            Add(&VexOps.ClearUpper)->Dst = Xmm(_i.Op0Register);
        }
    }

    private void EmitVexWholeMove(bool aligned)
    {
        bool wide = IsWide;
        if (IsMemory(0))
        {
            Op* store = wide
                ? AddMemory(
                    aligned ? &MemoryForms.Store<VectorOps.StoreWideAligned, TwoLanes> : &MemoryForms.Store<VectorOps.StoreWide, TwoLanes>,
                    32,
                    write: true)
                : AddMemory(
                    aligned
                        ? &MemoryForms.Store<VectorOps.StoreAligned, Vector128<byte>>
                        : &MemoryForms.Store<VectorOps.StoreUnaligned, Vector128<byte>>,
                    16,
                    write: true);
            store->Src = Vec(_i.Op1Register);
            return;
        }

        if (IsMemory(1))
        {
            Op* load = wide
                ? AddMemory(
                    aligned ? &MemoryForms.Load<VectorOps.LoadWideAligned, TwoLanes> : &MemoryForms.Load<VectorOps.LoadWide, TwoLanes>,
                    32,
                    write: false)
                : AddMemory(
                    aligned
                        ? &MemoryForms.Load<VectorOps.LoadAligned, Vector128<byte>>
                        : &MemoryForms.Load<VectorOps.LoadUnaligned, Vector128<byte>>,
                    16,
                    write: false);
            load->Dst = Vec(_i.Op0Register);
            ClearUpperOfResult();
            return;
        }

        Op* o = Add(&VexOps.Copy);
        o->Dst = Vec(_i.Op0Register);
        o->Src = Vec(_i.Op1Register);
        o->Scale = wide ? VexOps.Wide : (byte)0;
    }

    /// <summary>VPINSRx: the source is read before the result is begun.</summary>
    private void EmitVexInsert(int size)
    {
        ushort source = IsRegister(2) ? Offset(_i.Op2Register) : Source(2, size);
        Op* copy = Add(&VexOps.Copy);
        copy->Dst = Vec(_i.Op0Register);
        copy->Src = Vec(_i.Op1Register);
        Op* o = Add(&VectorOps.Insert);
        o->Dst = Xmm(_i.Op0Register);
        o->Src = source;
        o->Disp = size;
        o->Imm = (long)_i.GetImmediate(3) & ((16 / size) - 1);
    }

    private bool EmitVexShuffle()
    {
        Op* o;
        ushort source;
        switch (_i.Mnemonic)
        {
            case Mnemonic.Vbroadcastss or Mnemonic.Vbroadcastsd or Mnemonic.Vbroadcastf128 or Mnemonic.Vbroadcasti128
                or Mnemonic.Vpbroadcastb
                or Mnemonic.Vpbroadcastw or Mnemonic.Vpbroadcastd or Mnemonic.Vpbroadcastq:
                int size = _i.Mnemonic switch
                {
                    Mnemonic.Vpbroadcastb => 1,
                    Mnemonic.Vpbroadcastw => 2,
                    Mnemonic.Vbroadcastss or Mnemonic.Vpbroadcastd => 4,
                    Mnemonic.Vbroadcastsd or Mnemonic.Vpbroadcastq => 8,
                    _ => 16,
                };
                source = size == 1 && IsMemory(1) ? Source(1, 1) : VexSource(1);
                o = AddVex(&VexOps.Broadcast, source);
                o->Disp = size;
                return true;
            case Mnemonic.Vinsertf128 or Mnemonic.Vinserti128:
                source = VexSource(2);
                o = AddVex(&VexOps.InsertLane, source);
                o->Index = (byte)Ymm(_i.Op1Register);
                o->Disp = (int)_i.GetImmediate(3);
                return true;
            case Mnemonic.Vextractf128 or Mnemonic.Vextracti128:
                ushort lane = (ushort)(Vec(_i.Op1Register) + (((int)_i.GetImmediate(2) & 1) * 16));
                if (IsMemory(0))
                {
                    AddMemory(&MemoryForms.Store<VectorOps.StoreUnaligned, Vector128<byte>>, 16, write: true)->Src = lane;
                }
                else
                {
                    AddVex(&VexOps.Copy, lane)->Scale = 0;
                }

                return true;
            case Mnemonic.Vperm2f128 or Mnemonic.Vperm2i128:
                source = VexSource(2);
                o = AddVex(&VexOps.PermuteLanes, source);
                o->Index = (byte)Ymm(_i.Op1Register);
                o->Disp = (int)_i.GetImmediate(3);
                return true;
            case Mnemonic.Vpermq or Mnemonic.Vpermpd:
                source = VexSource(1);
                AddVex(&VexOps.PermuteQuarters, source)->Disp = (int)_i.GetImmediate(2);
                return true;
            case Mnemonic.Vpermd or Mnemonic.Vpermps:
                source = VexSource(2);
                AddVex(&VexOps.PermuteEighths, source)->Index = (byte)Ymm(_i.Op1Register);
                return true;
            case Mnemonic.Vpblendvb or Mnemonic.Vblendvps or Mnemonic.Vblendvpd:
                source = VexSource(2);
                o = AddVex(&VexOps.BlendVariable, source);
                o->Index = (byte)Ymm(_i.Op1Register);
                o->Base = (byte)Ymm(_i.Op3Register);
                o->Disp = _i.Mnemonic switch { Mnemonic.Vpblendvb => 1, Mnemonic.Vblendvps => 4, _ => 8 };
                return true;
            case Mnemonic.Vmaskmovps or Mnemonic.Vpmaskmovd:
                EmitMaskedMove(4);
                return true;
            case Mnemonic.Vmaskmovpd or Mnemonic.Vpmaskmovq:
                EmitMaskedMove(8);
                return true;
            case Mnemonic.Vgatherdps or Mnemonic.Vpgatherdd:
                return EmitGather(4, 4);
            case Mnemonic.Vgatherdpd or Mnemonic.Vpgatherdq:
                return EmitGather(8, 4);
            case Mnemonic.Vgatherqps or Mnemonic.Vpgatherqd:
                return EmitGather(4, 8);
            case Mnemonic.Vgatherqpd or Mnemonic.Vpgatherqq:
                return EmitGather(8, 8);
            default:
                return false;
        }
    }

    private Op* AddVex(delegate*<Cpu*, Op*, nint> fn, ushort source)
    {
        Op* o = Add(fn);
        o->Dst = Vec(_i.Op0Register);
        o->Src = source;
        o->Scale = IsWide ? VexOps.Wide : (byte)0;
        return o;
    }

    private void EmitMaskedMove(int size)
    {
        bool wide = IsWide;
        if (IsMemory(0))
        {
            EmitMaskedStore(Vec(_i.Op2Register), Vec(_i.Op1Register), size, wide ? 32 : 16);
            return;
        }

        AddMemory(&X87Ops.FormAddress, 0, write: false);
        Op* o = AddVex(&MaskedMemoryOps.Load, Vec(_i.Op1Register));
        o->Disp = size;
    }

    private void EmitMaskedStore(ushort value, ushort mask, int size, int bytes)
    {
        if (_i.MemoryBase == Register.None && !IsMemory(0))
        {
            EmitStringAddress();
        }
        else
        {
            AddMemory(&X87Ops.FormAddress, 0, write: true);
        }

        Op* o = Add(&MaskedMemoryOps.Store);
        o->Dst = value;
        o->Src = mask;
        o->Disp = size;
        o->Imm = bytes;
    }

    /// <summary>The address of MASKMOVDQU and MASKMOVQ: rDI in a segment, DS unless overridden.</summary>
    private void EmitStringAddress()
    {
        Register segment = _i.SegmentPrefix == Register.None ? Register.DS : _i.SegmentPrefix;
        int addressSize = _i.Op0Kind switch { OpKind.MemorySegDI => 2, OpKind.MemorySegEDI => 4, _ => 8 };
        Op* o = Add(addressSize == 8 ? &X87Ops.FormAddress : &TempOps.LegacyAddress);
        o->Base = 7 * 8;
        o->Seg = Is64 && segment is not (Register.FS
            or Register.GS) ? Cpu.ZeroSlot : (byte)(Cpu.SegmentSlot + (SegmentNumber(segment) * 8));
        if (addressSize != 8)
        {
            o->Src = (ushort)addressSize;
            o->Dst = (ushort)(Is64 ? 255 : SegmentNumber(segment));
            o->Imm = 1 | 0x10000;
        }
    }

    private bool EmitGather(int size, int indexSize)
    {
        Register index = _i.MemoryIndex;
        int destination = Ymm(_i.Op0Register);
        int mask = Ymm(_i.Op2Register);
        if (destination == mask || destination == Ymm(index) || mask == Ymm(index))
        {
            return false;
        }

        bool wideIndex = index >= Register.YMM0;
        bool wide = IsWide || wideIndex;
        int count = Math.Min((wideIndex ? 32 : 16) / indexSize, (_i.Op0Register.IsYMM() ? 32 : 16) / size);
        int number = Ymm(index);
        int scale = System.Numerics.BitOperations.Log2((uint)_i.MemoryIndexScale);
        bool narrow = _i.MemoryBase is >= Register.EAX and <= Register.R15D || !Is64 || _i.MemoryDisplSize == 4
            && _i.MemoryBase == Register.None;
        _i.MemoryIndex = Register.None;
        _i.MemoryIndexScale = 1;
        AddMemory(&X87Ops.FormAddress, 0, write: false);
        Op* o = Add(&MaskedMemoryOps.Gather);
        o->Dst = Vec(_i.Op0Register);
        o->Src = Vec(_i.Op2Register);
        o->Index = (byte)number;
        o->Disp = scale;
        o->Imm = size | (indexSize << 8) | (count << 16) | (narrow ? 0x100_0000 : 0);
        o->Scale = wide ? VexOps.Wide : (byte)0;
        return true;
    }

    private bool EmitVexRest()
    {
        switch (_i.Mnemonic)
        {
            case Mnemonic.Vzeroupper or Mnemonic.Vzeroall:
                Op* zero = Add(&VexOps.ZeroAll);
                zero->Imm = _i.Mnemonic == Mnemonic.Vzeroall ? 1 : 0;
                zero->Disp = Is64 ? 16 : 8;
                return true;
            case Mnemonic.Vptest or Mnemonic.Vtestps or Mnemonic.Vtestpd:
                ushort source = VexSource(1);
                Op* test = Add(&VexOps.Test);
                test->Index = (byte)Ymm(_i.Op0Register);
                test->Src = source;
                test->Disp = _i.Mnemonic switch { Mnemonic.Vptest => 0, Mnemonic.Vtestps => 4, _ => 8 };
                test->Scale = IsWide ? VexOps.Wide : (byte)0;
                return true;
            case Mnemonic.Vpmovmskb or Mnemonic.Vmovmskps or Mnemonic.Vmovmskpd when IsWide:
                Op* mask = Add(&VexOps.SignMaskWide);
                mask->Dst = Offset(_i.Op0Register);
                mask->Src = Vec(_i.Op1Register);
                mask->Disp = _i.Mnemonic switch { Mnemonic.Vpmovmskb => 1, Mnemonic.Vmovmskps => 4, _ => 8 };
                return true;
            default:
                Mnemonic legacy = LegacyOfRest(_i.Mnemonic);
                if (legacy == Mnemonic.INVALID || !EmitVectorRest(legacy))
                {
                    return false;
                }

                if (legacy is Mnemonic.Pcmpestrm or Mnemonic.Pcmpestrm64 or Mnemonic.Pcmpistrm)
                {
                    Add(&VexOps.ClearUpper)->Dst = Cpu.VectorOffset;
                }

                return true;
        }
    }

    /// <summary>Instructions whose VEX form differs from the legacy one in nothing that the translator looks at.</summary>
    private static Mnemonic LegacyOfRest(Mnemonic m) => m switch
    {
        Mnemonic.Vpmovmskb => Mnemonic.Pmovmskb,
        Mnemonic.Vmovmskps => Mnemonic.Movmskps,
        Mnemonic.Vmovmskpd => Mnemonic.Movmskpd,
        Mnemonic.Vpextrb => Mnemonic.Pextrb,
        Mnemonic.Vpextrw => Mnemonic.Pextrw,
        Mnemonic.Vpextrd => Mnemonic.Pextrd,
        Mnemonic.Vpextrq => Mnemonic.Pextrq,
        Mnemonic.Vextractps => Mnemonic.Extractps,
        Mnemonic.Vcomiss => Mnemonic.Comiss,
        Mnemonic.Vcomisd => Mnemonic.Comisd,
        Mnemonic.Vucomiss => Mnemonic.Ucomiss,
        Mnemonic.Vucomisd => Mnemonic.Ucomisd,
        Mnemonic.Vcvtsi2ss => Mnemonic.Cvtsi2ss,
        Mnemonic.Vcvtsi2sd => Mnemonic.Cvtsi2sd,
        Mnemonic.Vcvtss2si => Mnemonic.Cvtss2si,
        Mnemonic.Vcvttss2si => Mnemonic.Cvttss2si,
        Mnemonic.Vcvtsd2si => Mnemonic.Cvtsd2si,
        Mnemonic.Vcvttsd2si => Mnemonic.Cvttsd2si,
        Mnemonic.Vpcmpestri => Mnemonic.Pcmpestri,
        Mnemonic.Vpcmpestri64 => Mnemonic.Pcmpestri64,
        Mnemonic.Vpcmpestrm => Mnemonic.Pcmpestrm,
        Mnemonic.Vpcmpestrm64 => Mnemonic.Pcmpestrm64,
        Mnemonic.Vpcmpistri => Mnemonic.Pcmpistri,
        Mnemonic.Vpcmpistrm => Mnemonic.Pcmpistrm,
        Mnemonic.Vldmxcsr => Mnemonic.Ldmxcsr,
        Mnemonic.Vstmxcsr => Mnemonic.Stmxcsr,
        Mnemonic.Vmaskmovdqu => Mnemonic.Maskmovdqu,
        _ => Mnemonic.INVALID,
    };
}
