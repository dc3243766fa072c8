using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Ops;
using Iced.Intel;
using unsafe Fn = delegate*<Cnvm.Hypervisor.Soft.Core.Cpu*, Cnvm.Hypervisor.Soft.Core.Op*, nint>;

namespace Cnvm.Hypervisor.Soft.Translation;

/// <summary>System instructions.</summary>
internal sealed unsafe partial class Translator
{
    private void EmitLoadSegment()
    {
        int segment = SegmentNumber(_i.Op0Register);
        if (segment == Segments.CS)
        {
            EmitRaise(Vectors.UD);
            return;
        }

        ushort source = Source(1, 2);
        Op* o = Add(&DescriptorOps.LoadSegment);
        o->Dst = (ushort)segment;
        o->Src = source;
        EndAfterSegment(o, segment);
    }

    /// <summary>A load of SS ends the block after one more instruction (interrupts stay off for it); other loads end it outside 64-bit mode.</summary>
    private void EndAfterSegment(Op* o, int segment)
    {
        if (segment == Segments.SS && Is64)
        {
            _endAfter = 2;
        }
        else if (!Is64)
        {
            o->Imm = 1;
            _ended = true;
        }
    }

    private void EmitStoreSegment(int segment)
    {
        int size = IsRegister(0) ? SizeOf(0) : 2;
        Op* o = Add(&DescriptorOps.StoreSegment);
        o->Src = (ushort)segment;
        o->Scale = (byte)size;
        if (IsRegister(0))
        {
            o->Dst = Offset(_i.Op0Register);
            return;
        }

        o->Dst = Cpu.Temp0;
        StoreTemp(2);
    }

    /// <param name="instead">Number of the register that CR0 stands for; -1: itself.</param>
    private void EmitControlMove(int instead = -1)
    {
        EmitPrivileged();
        bool write = _i.Op0Register.IsCR();
        int n = (write ? _i.Op0Register : _i.Op1Register) - Register.CR0;
        n = instead >= 0 ? instead : n;
        if (n is not (0 or 2 or 3 or 4 or 8))
        {
            EmitRaise(Vectors.UD);
            return;
        }

        Op* o = Add(write ? &SystemOps.WriteControl : &SystemOps.ReadControl);
        o->Imm = n;
        o->Src = write ? Offset(_i.Op1Register) : (ushort)0;
        o->Dst = write ? (ushort)0 : Offset(_i.Op0Register);
        _ended = write;
    }

    private void EmitDebugMove()
    {
        EmitPrivileged();
        bool write = _i.Op0Register.IsDR();
        Op* o = Add(write ? &SystemOps.WriteDebug : &SystemOps.ReadDebug);
        _ended = write;
        int n = (write ? _i.Op0Register : _i.Op1Register) - Register.DR0;
        o->Imm = n & 7;
        o->Src = write ? Offset(_i.Op1Register) : (ushort)0;
        o->Dst = write ? (ushort)0 : Offset(_i.Op0Register);
    }

    private void EmitFarTransfer(bool call)
    {
        _ended = true;
        if (!IsMemory(0))
        {
            Op* d = Add(&FarOps.Direct);
            bool narrow = _i.Op0Kind == OpKind.FarBranch16;
            d->Imm = narrow ? _i.FarBranch16 : _i.FarBranch32;
            d->Src = _i.FarBranchSelector;
            d->Scale = (byte)(narrow ? 2 : 4);
            d->Dst = call ? (ushort)1 : (ushort)0;
            return;
        }

        int size = _i.MemorySize switch { MemorySize.SegPtr16 => 2, MemorySize.SegPtr32 => 4, _ => 8 };
        Op* o = AddMemory(&FarOps.Indirect, size + 2, write: false);
        o->Src = (ushort)size;
        o->Dst = call ? (ushort)1 : (ushort)0;
    }

    private bool EmitSystem()
    {
        switch (_i.Mnemonic)
        {
            case Mnemonic.Cli:
                Add(&SystemOps.Cli);
                return true;
            case Mnemonic.Sti:
                EmitSti();
                return true;
            case Mnemonic.Hlt:
                EmitPrivileged();
                Add(&SystemOps.Hlt);
                _ended = true;
                return true;
            case Mnemonic.Cpuid:
                Add(&SystemOps.Cpuid);
                return true;
            case Mnemonic.Rdtsc:
                Add(&SystemOps.Rdtsc);
                return true;
            case Mnemonic.Rdtscp:
                Add(&SystemOps.Rdtsc)->Imm = 1;
                return true;
            case Mnemonic.Rdpmc:
                Add(&SystemOps.Rdpmc);
                return true;
            case Mnemonic.Arpl:
                ushort wanted = Offset(_i.Op1Register);
                ushort changed = OpenDestination(2);
                Op* arpl = Add(&DescriptorOps.Arpl);
                arpl->Dst = changed;
                arpl->Src = wanted;
                CloseDestination(2);
                return true;
            case Mnemonic.Bound:
                int bound = _i.Op0Register.GetSize();
                Op* bounds = AddMemory(&TempOps.Bound, bound * 2, write: false);
                bounds->Dst = Offset(_i.Op0Register);
                bounds->Src = (ushort)bound;
                return true;
            case Mnemonic.Rdpid:
                Add(&SystemOps.Rdpid)->Dst = Offset(_i.Op0Register);
                return true;
            case Mnemonic.Rdmsr:
                Add(&SystemOps.Rdmsr);
                return true;
            case Mnemonic.Wrmsr:
                Add(&SystemOps.Wrmsr);
                _ended = true;
                return true;
            case Mnemonic.Syscall:
                Add(&SyscallOps.Syscall);
                _ended = true;
                return true;
            case Mnemonic.Sysret or Mnemonic.Sysretq:
                Add(&SyscallOps.Sysret)->Scale = (byte)(_i.Mnemonic == Mnemonic.Sysretq ? 8 : 4);
                _ended = true;
                return true;
            case Mnemonic.Sysenter:
                Add(&SyscallOps.Sysenter);
                _ended = true;
                return true;
            case Mnemonic.Sysexit or Mnemonic.Sysexitq:
                Add(&SyscallOps.Sysexit)->Scale = (byte)(_i.Mnemonic == Mnemonic.Sysexitq ? 8 : 4);
                _ended = true;
                return true;
            case Mnemonic.Swapgs:
                Add(&SystemOps.Swapgs);
                return true;
            case Mnemonic.Iret or Mnemonic.Iretd or Mnemonic.Iretq:
                Add(&FarOps.Iret)->Scale = (byte)(_i.Mnemonic == Mnemonic.Iret ? 2 : _i.Mnemonic == Mnemonic.Iretd ? 4 : 8);
                _ended = true;
                return true;
            case Mnemonic.Retf:
                Op* retf = Add(&FarOps.Ret);
                retf->Scale = (byte)(_i.Code is Code.Retfw or Code.Retfw_imm16 ? 2 : _i.Code is Code.Retfd or Code.Retfd_imm16 ? 4 : 8);
                retf->Imm = _i.OpCount == 1 ? (long)_i.GetImmediate(0) : 0;
                _ended = true;
                return true;
            case Mnemonic.Int or Mnemonic.Int3 or Mnemonic.Int1:
                Op* interrupt = Add(&FarOps.Interrupt);
                interrupt->Imm = _i.Mnemonic == Mnemonic.Int3 ? 3 : _i.Mnemonic == Mnemonic.Int1 ? 1 : (long)_i.GetImmediate(0) & 0xff;
                _ended = true;
                return true;
            case Mnemonic.Into:
                Add(&FarOps.Into)->Imm = 4;
                return true;
            case Mnemonic.Pushf or Mnemonic.Pushfd or Mnemonic.Pushfq:
                Add(&FlagOps.Pushf)->Scale = (byte)StackOperandSize();
                return true;
            case Mnemonic.Popf or Mnemonic.Popfd or Mnemonic.Popfq:
                Add(&FlagOps.Popf)->Scale = (byte)StackOperandSize();
                _ended = true;
                return true;
            case Mnemonic.Clts:
                EmitPrivileged();
                Add(&SystemOps.Clts);
                _ended = true;
                return true;
            case Mnemonic.Lmsw:
                EmitPrivileged();
                ushort word = Source(0, 2);
                Add(&SystemOps.Lmsw)->Src = word;
                _ended = true;
                return true;
            case Mnemonic.Smsw:
                EmitStore(&SystemOps.Smsw, 0);
                return true;
            case Mnemonic.Sldt:
                EmitStore(&DescriptorOps.StoreSegment, Cpu.Ldtr);
                return true;
            case Mnemonic.Str:
                EmitStore(&DescriptorOps.StoreSegment, Cpu.Tr);
                return true;
            case Mnemonic.Lldt or Mnemonic.Ltr:
                ushort selector = Source(0, 2);
                Op* load = Add(&DescriptorOps.LoadSystemSegment);
                load->Src = selector;
                load->Imm = _i.Mnemonic == Mnemonic.Ltr ? Cpu.Tr : Cpu.Ldtr;
                return true;
            case Mnemonic.Lgdt or Mnemonic.Lidt:
                Op* table = AddMemory(&DescriptorOps.LoadTable, Is64 ? 10 : 6, write: false);
                table->Imm = _i.Mnemonic == Mnemonic.Lidt ? 1 : 0;
                table->Src = (ushort)(Is64 ? 8 : _i.Code is Code.Lgdt_m1632_16 or Code.Lidt_m1632_16 ? 3 : 4);
                return true;
            case Mnemonic.Sgdt or Mnemonic.Sidt:
                Op* store = AddMemory(&DescriptorOps.StoreTable, Is64 ? 10 : 6, write: true);
                store->Imm = _i.Mnemonic == Mnemonic.Sidt ? 1 : 0;
                store->Src = (ushort)(Is64 ? 8 : 4);
                return true;
            case Mnemonic.Lar or Mnemonic.Lsl:
                EmitInspect(_i.Mnemonic == Mnemonic.Lar ? 0 : 1, 1);
                return true;
            case Mnemonic.Verr or Mnemonic.Verw:
                EmitInspect(_i.Mnemonic == Mnemonic.Verr ? 2 : 3, 0);
                return true;
            case Mnemonic.Lds or Mnemonic.Les or Mnemonic.Lss or Mnemonic.Lfs or Mnemonic.Lgs:
                int size = SizeOf(0);
                Op* pointer = AddMemory(&DescriptorOps.LoadPointer, size + 2, write: false);
                pointer->Dst = Offset(_i.Op0Register);
                pointer->Src = (ushort)size;
                pointer->Imm = _i.Mnemonic switch
                {
                    Mnemonic.Les => Segments.ES,
                    Mnemonic.Lss => Segments.SS,
                    Mnemonic.Lds => Segments.DS,
                    Mnemonic.Lfs => Segments.FS,
                    _ => Segments.GS,
                };
                _ended = true;
                return true;
            case Mnemonic.Invlpg:
                EmitPrivileged();
                PrepareAddress(0, write: false, noCheck: true);
                SetAddress(Add(&SystemOps.Invlpg));
                _ended = true;
                return true;
            case Mnemonic.Invpcid:
                EmitPrivileged();
                AddMemory(&SystemOps.Invpcid, 16, write: false)->Src = Offset(_i.Op0Register);
                _ended = true;
                return true;
            case Mnemonic.Invd or Mnemonic.Wbinvd or Mnemonic.Wbnoinvd:
                EmitPrivileged();
                Add(&MoveOps.Nop);
                return true;
            case Mnemonic.In:
                EmitPort(&PortOps.In, _i.Op0Register.GetSize(), 1);
                return true;
            case Mnemonic.Out:
                EmitPort(&PortOps.Out, _i.Op1Register.GetSize(), 0);
                return true;
            case Mnemonic.Clac or Mnemonic.Stac:
                Add(&SystemOps.AccessFlag)->Imm = _i.Mnemonic == Mnemonic.Stac ? 1 : 0;
                return true;
            case Mnemonic.Vmcall or Mnemonic.Vmmcall:
                Add(&SystemOps.Hypercall)->Imm = _i.Mnemonic == Mnemonic.Vmcall ? 1 : 0;
                return true;
            case Mnemonic.Xgetbv:
                Add(&SystemOps.Xgetbv);
                return true;
            case Mnemonic.Xsetbv:
                Add(&SystemOps.Xsetbv);
                _ended = true;
                return true;
            case Mnemonic.Rdfsbase or Mnemonic.Rdgsbase or Mnemonic.Wrfsbase or Mnemonic.Wrgsbase:
                Op* b = Add(&SystemOps.SegmentBase);
                bool write = _i.Mnemonic is Mnemonic.Wrfsbase or Mnemonic.Wrgsbase;
                b->Imm = (_i.Mnemonic is Mnemonic.Rdgsbase or Mnemonic.Wrgsbase ? 1 : 0) | (write ? 2 : 0);
                b->Scale = (byte)SizeOf(0);
                b->Dst = b->Src = Offset(_i.Op0Register);
                return true;
            default:
                return false;
        }
    }

    /// <summary>Interrupts stay off for one instruction: it goes into this block, which then ends.</summary>
    private void EmitSti()
    {
        bool room = _i.NextIP + 15 <= _pageEnd && _chainable && _instructions < MaxInstructions;
        if (room)
        {
            Add(&SystemOps.Sti);
            _endAfter = 2;
            return;
        }

        Add(&SystemOps.StiLast);
        _ended = true;
    }

    private void EmitStore(Fn fn, int source)
    {
        int size = IsRegister(0) ? SizeOf(0) : 2;
        Op* o = Add(fn);
        o->Src = (ushort)source;
        o->Scale = (byte)size;
        o->Dst = IsRegister(0) ? Offset(_i.Op0Register) : Cpu.Temp0;
        if (IsMemory(0))
        {
            StoreTemp(2);
        }
    }

    private void EmitInspect(int what, int operand)
    {
        ushort source = Source(operand, 2);
        Op* o = Add(&DescriptorOps.Inspect);
        o->Imm = what;
        o->Src = source;
        o->Scale = (byte)(what < 2 ? SizeOf(0) : 0);
        o->Dst = what < 2 ? Offset(_i.Op0Register) : (ushort)0;
    }

    private void EmitPort(Fn fn, int size, int portOperand)
    {
        Op* o = Add(fn);
        o->Scale = (byte)size;
        o->Imm = IsRegister(portOperand) ? -1 : (long)_i.GetImmediate(portOperand) & 0xff;
    }
}
