using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Ops;
using Iced.Intel;

namespace Cnvm.Hypervisor.Soft.Translation;

/// <summary>From mnemonic to operations.</summary>
internal sealed unsafe partial class Translator
{
    private void Emit(FlagSource flags)
    {
        if (_i.Encoding != EncodingKind.Legacy && (_mode & ModeBits.Vex) == 0)
        {
            EmitRaise(Vectors.UD);
            return;
        }

        switch (_i.Mnemonic)
        {
            case Mnemonic.Mov:
                _flags = flags;
                EmitMov();
                break;
            case Mnemonic.Movzx or Mnemonic.Movsx or Mnemonic.Movsxd:
                _flags = flags;
                EmitExtend();
                break;
            case Mnemonic.Lea:
                _flags = flags;
                EmitLea();
                break;
            case Mnemonic.Add or Mnemonic.Sub or Mnemonic.And or Mnemonic.Or or Mnemonic.Xor or Mnemonic.Adc or Mnemonic.Sbb
                or Mnemonic.Cmp or Mnemonic.Test:
                EmitAlu();
                break;
            case Mnemonic.Inc or Mnemonic.Dec or Mnemonic.Neg or Mnemonic.Not:
                EmitUnary();
                break;
            case Mnemonic.Push:
                _flags = flags;
                EmitPush();
                break;
            case Mnemonic.Pop:
                _flags = flags;
                EmitPop();
                break;
            case Mnemonic.Call:
                if (_i.IsCallFar || _i.IsCallFarIndirect)
                {
                    EmitFarTransfer(call: true);
                }
                else
                {
                    EmitCall();
                }

                break;
            case Mnemonic.Jmp:
                if (_i.IsJmpFar || _i.IsJmpFarIndirect)
                {
                    EmitFarTransfer(call: false);
                }
                else
                {
                    EmitJmp();
                }

                break;
            case Mnemonic.Ret:
                EmitRet();
                break;
            case Mnemonic.Nop or Mnemonic.Endbr64 or Mnemonic.Endbr32 or Mnemonic.Prefetch or Mnemonic.Prefetchw or Mnemonic.Prefetcht0
                or Mnemonic.Prefetcht1 or Mnemonic.Prefetcht2 or Mnemonic.Prefetchnta or Mnemonic.Reservednop or Mnemonic.Clflush
                or Mnemonic.Clflushopt or Mnemonic.Clwb:
                _flags = flags;
                Add(&MoveOps.Nop);
                break;
            case Mnemonic.Lfence or Mnemonic.Sfence or Mnemonic.Mfence:
                _flags = flags;
                Add(&MoveOps.Fence);
                break;
            case Mnemonic.Pause:
                Add(&SystemOps.Pause);
                _ended = true;
                break;
            case Mnemonic.Leave:
                Op* leave = Add(_i.Code == Code.Leaveq ? &StackOps.Leave64 : &StackOps.Leave);
                leave->Scale = (byte)(_i.Code == Code.Leavew ? 2 : 4);
                break;
            case Mnemonic.Enter:
                Op* enter = Add(&StackOps.Enter);
                enter->Scale = (byte)(_i.Code == Code.Enterw_imm16_imm8 ? 2 : Is64 ? 8 : 4);
                enter->Disp = (int)_i.GetImmediate(0);
                enter->Imm = (long)_i.GetImmediate(1);
                break;
            case Mnemonic.Pusha or Mnemonic.Pushad:
                Add(&StackOps.PushAll)->Scale = (byte)(_i.Mnemonic == Mnemonic.Pusha ? 2 : 4);
                break;
            case Mnemonic.Popa or Mnemonic.Popad:
                Add(&StackOps.PopAll)->Scale = (byte)(_i.Mnemonic == Mnemonic.Popa ? 2 : 4);
                break;
            default:
                if (_i.FlowControl == FlowControl.ConditionalBranch && EmitConditionalBranch(flags))
                {
                    break;
                }

                if (!EmitIntegerRest() && !EmitStrings() && !EmitSystem() && !EmitFloat())
                {
                    EmitRaise(Vectors.UD);
                }

                break;
        }
    }

    private bool EmitConditionalBranch(FlagSource flags)
    {
        switch (_i.Mnemonic)
        {
            case Mnemonic.Loop:
                EmitLoop(0);
                return true;
            case Mnemonic.Loope:
                EmitLoop(1);
                return true;
            case Mnemonic.Loopne:
                EmitLoop(2);
                return true;
            case Mnemonic.Jcxz or Mnemonic.Jecxz or Mnemonic.Jrcxz:
                EmitLoop(3);
                return true;
            default:
                if (_i.ConditionCode == ConditionCode.None)
                {
                    return false;
                }

                EmitJcc(flags);
                return true;
        }
    }

    private bool EmitIntegerRest()
    {
        switch (_i.Mnemonic)
        {
            case Mnemonic.Xchg:
                EmitXchg();
                return true;
            case Mnemonic.Xadd or Mnemonic.Cmpxchg:
                EmitExchangeArithmetic();
                return true;
            case Mnemonic.Shl or Mnemonic.Sal:
                EmitShift(ShiftKind.Shl);
                return true;
            case Mnemonic.Shr:
                EmitShift(ShiftKind.Shr);
                return true;
            case Mnemonic.Sar:
                EmitShift(ShiftKind.Sar);
                return true;
            case Mnemonic.Rol:
                EmitShift(ShiftKind.Rol);
                return true;
            case Mnemonic.Ror:
                EmitShift(ShiftKind.Ror);
                return true;
            case Mnemonic.Rcl:
                EmitShift(ShiftKind.Rcl);
                return true;
            case Mnemonic.Rcr:
                EmitShift(ShiftKind.Rcr);
                return true;
            case Mnemonic.Shld:
                EmitShift(ShiftKind.Shld);
                return true;
            case Mnemonic.Shrd:
                EmitShift(ShiftKind.Shrd);
                return true;
            case Mnemonic.Mul or Mnemonic.Imul or Mnemonic.Div or Mnemonic.Idiv:
                EmitMulDiv();
                return true;
            case Mnemonic.Bt:
                EmitBitTest<BitKeep>();
                return true;
            case Mnemonic.Bts:
                EmitBitTest<BitSet>();
                return true;
            case Mnemonic.Btr:
                EmitBitTest<BitReset>();
                return true;
            case Mnemonic.Btc:
                EmitBitTest<BitComplement>();
                return true;
            case Mnemonic.Bsf:
                EmitScan(&BitOps.Bsf<ushort>, &BitOps.Bsf<uint>, &BitOps.Bsf<ulong>);
                return true;
            case Mnemonic.Bsr:
                EmitScan(&BitOps.Bsr<ushort>, &BitOps.Bsr<uint>, &BitOps.Bsr<ulong>);
                return true;
            case Mnemonic.Tzcnt:
                EmitScan(&BitOps.Tzcnt<ushort>, &BitOps.Tzcnt<uint>, &BitOps.Tzcnt<ulong>);
                return true;
            case Mnemonic.Lzcnt:
                EmitScan(&BitOps.Lzcnt<ushort>, &BitOps.Lzcnt<uint>, &BitOps.Lzcnt<ulong>);
                return true;
            case Mnemonic.Popcnt:
                EmitScan(&BitOps.Popcnt<ushort>, &BitOps.Popcnt<uint>, &BitOps.Popcnt<ulong>);
                return true;
            case Mnemonic.Andn:
                EmitBmi<Andn>(1, 2);
                return true;
            case Mnemonic.Bextr when _i.OpCount == 3 && IsRegister(2):
                EmitBmi<Bextr>(2, 1);
                return true;
            case Mnemonic.Blsi:
                EmitBmi<Blsi>(-1, 1);
                return true;
            case Mnemonic.Blsmsk:
                EmitBmi<Blsmsk>(-1, 1);
                return true;
            case Mnemonic.Blsr:
                EmitBmi<Blsr>(-1, 1);
                return true;
            case Mnemonic.Bzhi:
                EmitBmi<Bzhi>(2, 1);
                return true;
            case Mnemonic.Pdep:
                EmitBmi<Pdep>(1, 2);
                return true;
            case Mnemonic.Pext:
                EmitBmi<Pext>(1, 2);
                return true;
            case Mnemonic.Shlx:
                EmitBmi<Shlx>(2, 1);
                return true;
            case Mnemonic.Shrx:
                EmitBmi<Shrx>(2, 1);
                return true;
            case Mnemonic.Sarx:
                EmitBmi<Sarx>(2, 1);
                return true;
            case Mnemonic.Rorx:
                EmitRorx();
                return true;
            case Mnemonic.Mulx:
                EmitMulx();
                return true;
            case Mnemonic.Adcx:
                EmitAddCarry(0);
                return true;
            case Mnemonic.Adox:
                EmitAddCarry(1);
                return true;
            case Mnemonic.Crc32:
                EmitCrc32();
                return true;
            case Mnemonic.Rdrand or Mnemonic.Rdseed:
                EmitRandom();
                return true;
            case Mnemonic.Movbe:
                EmitMovbe();
                return true;
            case Mnemonic.Bswap:
                EmitBswap();
                return true;
            case Mnemonic.Cmpxchg8b:
                EmitCompareExchangeWide(sixteen: false);
                return true;
            case Mnemonic.Cmpxchg16b:
                EmitCompareExchangeWide(sixteen: true);
                return true;
            case Mnemonic.Cbw:
                Add(&MoveOps.WidenAccumulator<byte, ushort>);
                return true;
            case Mnemonic.Cwde:
                Add(&MoveOps.WidenAccumulator<ushort, uint>);
                return true;
            case Mnemonic.Cdqe:
                Add(&MoveOps.WidenAccumulator<uint, ulong>);
                return true;
            case Mnemonic.Cwd:
                Add(&MoveOps.SignToDx<ushort>);
                return true;
            case Mnemonic.Cdq:
                Add(&MoveOps.SignToDx<uint>);
                return true;
            case Mnemonic.Cqo:
                Add(&MoveOps.SignToDx<ulong>);
                return true;
            case Mnemonic.Clc or Mnemonic.Stc or Mnemonic.Cmc:
                Add(&FlagOps.Carry)->Imm = _i.Mnemonic == Mnemonic.Clc ? 0 : _i.Mnemonic == Mnemonic.Stc ? 1 : 2;
                return true;
            case Mnemonic.Cld:
                Add(&FlagOps.Cld);
                return true;
            case Mnemonic.Std:
                Add(&FlagOps.Std);
                return true;
            case Mnemonic.Lahf:
                Add(&FlagOps.Lahf);
                return true;
            case Mnemonic.Sahf:
                Add(&FlagOps.Sahf);
                return true;
            case Mnemonic.Salc:
                Add(&FlagOps.Salc);
                return true;
            case Mnemonic.Aaa or Mnemonic.Aas or Mnemonic.Daa or Mnemonic.Das or Mnemonic.Aam or Mnemonic.Aad:
                Op* o = Add(&FlagOps.Aaa);
                o->Imm = _i.Mnemonic switch
                {
                    Mnemonic.Aaa => 0,
                    Mnemonic.Aas => 1,
                    Mnemonic.Daa => 2,
                    Mnemonic.Das => 3,
                    Mnemonic.Aam => 4,
                    _ => 5,
                };
                o->Src = _i.OpCount == 1 ? (ushort)(byte)_i.GetImmediate(0) : (ushort)0;
                return true;
            case Mnemonic.Xlatb:
                EmitXlat();
                return true;
            default:
                if (_i.ConditionCode != ConditionCode.None)
                {
                    if (_i.Mnemonic is >= Mnemonic.Cmova and <= Mnemonic.Cmovs)
                    {
                        EmitCmov();
                        return true;
                    }

                    if (_i.Mnemonic is >= Mnemonic.Seta and <= Mnemonic.Sets)
                    {
                        EmitSetcc();
                        return true;
                    }
                }

                return false;
        }
    }

    /// <summary>AL = [rBX + AL].</summary>
    private void EmitXlat()
    {
        Op* a = Add(&MoveOps.ExtendReg<byte, ulong, Unsigned>);
        a->Src = 0;
        a->Dst = Cpu.Temp0;
        if (Is64 && _i.MemoryBase == Register.RBX)
        {
            Op* o = Add(&MemoryForms.Load<MoveOps.LoadReg<byte>, byte>);
            o->Base = 3 * 8;
            o->Index = Cpu.Temp0;
            o->Seg = _i.MemorySegment is Register.FS or Register.GS
                ? (byte)(Cpu.SegmentSlot + (SegmentNumber(_i.MemorySegment) * 8))
                : Cpu.ZeroSlot;
            return;
        }

        Op* l = Add(&TempOps.LegacyAddress);
        l->Base = 3 * 8;
        l->Index = Cpu.Temp0;
        l->Src = (ushort)(_i.MemoryBase == Register.BX ? 2 : 4);
        int segment = SegmentNumber(_i.MemorySegment);
        l->Dst = (ushort)(Is64 ? 255 : segment);
        l->Seg = Is64 && segment < 4 ? Cpu.ZeroSlot : (byte)(Cpu.SegmentSlot + (segment * 8));
        l->Imm = 1;
        Op* load = Add(&MemoryForms.Load<MoveOps.LoadReg<byte>, byte>);
        load->Base = Cpu.AddressSlot;
    }

    private bool EmitStrings()
    {
        switch (_i.Mnemonic)
        {
            case Mnemonic.Movsb:
                EmitString(&StringOps.Movs, 1);
                return true;
            case Mnemonic.Movsw:
                EmitString(&StringOps.Movs, 2);
                return true;
            case Mnemonic.Movsd when _i.IsStringInstruction:
                EmitString(&StringOps.Movs, 4);
                return true;
            case Mnemonic.Movsq:
                EmitString(&StringOps.Movs, 8);
                return true;
            case Mnemonic.Stosb or Mnemonic.Stosw or Mnemonic.Stosd or Mnemonic.Stosq:
                EmitString(&StringOps.Stos, StringSize(Mnemonic.Stosb, Mnemonic.Stosw, Mnemonic.Stosd));
                return true;
            case Mnemonic.Lodsb or Mnemonic.Lodsw or Mnemonic.Lodsd or Mnemonic.Lodsq:
                EmitString(&StringOps.Lods, StringSize(Mnemonic.Lodsb, Mnemonic.Lodsw, Mnemonic.Lodsd));
                return true;
            case Mnemonic.Scasb or Mnemonic.Scasw or Mnemonic.Scasd or Mnemonic.Scasq:
                EmitString(&StringOps.Scas, StringSize(Mnemonic.Scasb, Mnemonic.Scasw, Mnemonic.Scasd));
                return true;
            case Mnemonic.Cmpsb or Mnemonic.Cmpsw or Mnemonic.Cmpsq:
                EmitString(&StringOps.Cmps, StringSize(Mnemonic.Cmpsb, Mnemonic.Cmpsw, Mnemonic.Cmpsd));
                return true;
            case Mnemonic.Cmpsd when _i.IsStringInstruction:
                EmitString(&StringOps.Cmps, 4);
                return true;
            case Mnemonic.Insb or Mnemonic.Insw or Mnemonic.Insd:
                EmitString(&StringOps.Ins, StringSize(Mnemonic.Insb, Mnemonic.Insw, Mnemonic.Insd));
                return true;
            case Mnemonic.Outsb or Mnemonic.Outsw or Mnemonic.Outsd:
                EmitString(&StringOps.Outs, StringSize(Mnemonic.Outsb, Mnemonic.Outsw, Mnemonic.Outsd));
                return true;
            default:
                return false;
        }
    }

    private int StringSize(Mnemonic b, Mnemonic w, Mnemonic d) => _i.Mnemonic == b ? 1 : _i.Mnemonic == w ? 2 : _i.Mnemonic == d ? 4 : 8;
}
