using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Ops;
using Iced.Intel;
using unsafe Fn = delegate*<Cnvm.Hypervisor.Soft.Core.Cpu*, Cnvm.Hypervisor.Soft.Core.Op*, nint>;

namespace Cnvm.Hypervisor.Soft.Translation;

/// <summary>Turns guest instructions into operations. One per vCPU; its thread only.</summary>
internal sealed unsafe partial class Translator
{
    public const int MaxInstructions = 60;

    private readonly Cpu* _c;
    private readonly PageReader _reader = new();
    private readonly Decoder[] _decoders;

    private Op* _ops;
    private int _count;
    private int _instructions;
    private int _mode;
    private ulong _blockRip;
    private ulong _pageEnd;
    private bool _first;
    private bool _chainable;
    private bool _ended;
    private int _endAfter;
    private FlagSource _flags;
    private bool _addressInSlot;
    private Instruction _i;

    public Translator(Cpu* c)
    {
        _c = c;
        _decoders = [Decoder.Create(16, _reader), Decoder.Create(32, _reader), Decoder.Create(64, _reader)];
    }

    /// <summary>Bytes of the last block's instructions.</summary>
    public int ByteLength { get; private set; }

    /// <summary>The last instruction is a repeated one.</summary>
    public bool IsRepeated => _i.IsStringInstruction && (_i.HasRepPrefix || _i.HasRepnePrefix);

    /// <summary>The last instruction loads SS and so holds off debug exceptions.</summary>
    public bool LockedCr0IsCr8 { get; init; }

    public bool HoldsTraps => _i.Mnemonic is Mnemonic.Mov or Mnemonic.Pop && _i.Op0Kind == OpKind.Register && _i.Op0Register == Register.SS;

    /// <summary>The last instruction may enter a handler with TF off.</summary>
    public bool EntersHandler =>
        _i.Mnemonic is Mnemonic.Int or Mnemonic.Int1 or Mnemonic.Int3 or Mnemonic.Into or Mnemonic.Syscall;

    private bool Is64 => (_mode & ModeBits.CodeSizeMask) == ModeBits.Code64;

    /// <summary>Bytes of near branches and of the default operand: 2, 4 or (64-bit mode) 8.</summary>
    private int CodeSize => 2 << (_mode & ModeBits.CodeSizeMask);

    /// <summary>Translates from a RIP on.</summary>
    /// <param name="ops">Where the operations go.</param>
    /// <param name="bytes">The instruction bytes, up to the end of the page.</param>
    /// <param name="length">How many bytes there are.</param>
    /// <param name="max">Most instructions to take.</param>
    /// <param name="chainable">The block lies in one page and may link to others there.</param>
    /// <returns>Number of operations; 0 when the first instruction goes beyond the bytes.</returns>
    public int Translate(Op* ops, byte* bytes, int length, int max, bool chainable)
    {
        _ops = ops;
        _count = 0;
        _instructions = 0;
        _mode = (int)(_c->ModeKey >> ModeBits.Shift);
        _blockRip = _c->R[17];
        _pageEnd = ((_blockRip + _c->R[19]) | 0xfff) + 1 - _c->R[19];
        _chainable = chainable;
        _ended = false;
        _endAfter = 0;
        _flags = FlagSource.Unknown;
        Decoder decoder = _decoders[_mode & ModeBits.CodeSizeMask];
        int at = 0;
        while (_instructions < max && !_ended)
        {
            _reader.Set(bytes + at, bytes + Math.Min(length, at + 15));
            decoder.IP = _blockRip + (uint)at;
            decoder.Decode(out _i);
            if (_i.IsInvalid && decoder.LastError == DecoderError.NoMoreBytes && length - at < 15)
            {
                if (_instructions == 0)
                {
                    return 0;
                }

                break;
            }

            _instructions++;
            _first = true;
            _addressInSlot = false;
            if (_i.IsInvalid && DecodesAsCr8(decoder, bytes + at, length - at))
            {
                EmitControlMove(8);
                at += _i.Length;
                break;
            }

            if (_i.IsInvalid)
            {
                _i.Length = Math.Max(1, _i.Length);
                // Longer than 15 bytes is a general protection fault; anything else unknown is an invalid opcode.
                EmitRaise(decoder.LastError == DecoderError.NoMoreBytes ? Vectors.GP : Vectors.UD);
                at += _i.Length;
                break;
            }

            FlagSource before = _flags;
            _flags = FlagSource.Unknown;
            Emit(before);
            at += _i.Length;
            if (_endAfter > 0 && --_endAfter == 0 && !_ended)
            {
                break;
            }

            if (at >= length)
            {
                break;
            }
        }

        ByteLength = at;
        if (!_ended)
        {
            EmitFallThrough((uint)at);
        }

        return _count;
    }

    /// <summary>LOCK MOV to or from CR0 stands for CR8 (APM vol. 3, MOV CRn); Iced takes the prefix for an error.</summary>
    private bool DecodesAsCr8(Decoder decoder, byte* bytes, int length)
    {
        if (!LockedCr0IsCr8 || length < 4 || *bytes != 0xf0)
        {
            return false;
        }

        _reader.Set(bytes + 1, bytes + Math.Min(length, 15));
        ulong ip = _i.IP;
        decoder.IP = ip;
        decoder.Decode(out Instruction inner);
        if (inner.Mnemonic != Mnemonic.Mov || (inner.Op0Register != Register.CR0 && inner.Op1Register != Register.CR0))
        {
            return false;
        }

        int whole = inner.Length + 1;
        _i = inner;
        _i.Length = whole;
        _i.IP = ip;
        return true;
    }

    private void EmitFallThrough(uint delta)
    {
        _first = false;
        Op* o = Add(&BranchOps.JumpLegacy);
        o->Disp = (int)delta;
        // Only branches cut the pointer of 16-bit code.
        o->Src = 4;
        if (Is64)
        {
            bool inPage = _blockRip + delta < _pageEnd && _chainable;
            o->Fn = inPage ? &BranchOps.Jump : &BranchOps.JumpFar;
        }

        _ended = true;
    }

    /// <summary>Appends an operation for the current instruction.</summary>
    private Op* Add(Fn fn)
    {
        Op* o = _ops + _count++;
        *o = default;
        o->Fn = fn;
        o->Base = Cpu.ZeroSlot;
        o->Index = Cpu.ZeroSlot;
        o->Seg = Cpu.ZeroSlot;
        o->RipDelta = (ushort)(_i.IP - _blockRip);
        o->Count = (byte)_instructions;
        o->LengthAndStart = (byte)(_i.Length | (_first ? 0x80 : 0));
        _first = false;
        return o;
    }

    private void EmitRaise(int vector)
    {
        Op* o = Add(vector == Vectors.GP ? &RaiseGp : &TempOps.Raise);
        o->Imm = vector;
        _ended = true;
    }

    private static nint RaiseGp(Cpu* c, Op* op) => Operand.Raise(c, op, Vectors.GP, 0);

    private void EmitPrivileged() => Add(&TempOps.RequireCpl0);

    /// <summary>Byte offset of a general register in <see cref="Cpu"/>.</summary>
    private static ushort Offset(Register r) =>
        r >= Register.RAX && r <= Register.R15 ? (ushort)((r - Register.RAX) * 8)
        : r >= Register.EAX && r <= Register.R15D ? (ushort)((r - Register.EAX) * 8)
        : r >= Register.AX && r <= Register.R15W ? (ushort)((r - Register.AX) * 8)
        : r >= Register.SPL && r <= Register.R15L ? (ushort)((r - Register.SPL + 4) * 8)
        : r >= Register.AH ? (ushort)(((r - Register.AH) * 8) + 1)
        : (ushort)((r - Register.AL) * 8);

    private static Fn BySize(int size, Fn b, Fn w, Fn d, Fn q) => size switch { 1 => b, 2 => w, 4 => d, _ => q };

    private bool IsMemory(int operand) => _i.GetOpKind(operand) == OpKind.Memory;

    private bool IsRegister(int operand) => _i.GetOpKind(operand) == OpKind.Register;

    /// <summary>Size in bytes of an operand that is a register or memory.</summary>
    private int SizeOf(int operand) => IsRegister(operand) ? _i.GetOpRegister(operand).GetSize() : _i.MemorySize.GetSize();

    private static int SegmentNumber(Register r) => r - Register.ES;

    private int AddressSize()
    {
        Register r = _i.MemoryBase != Register.None ? _i.MemoryBase : _i.MemoryIndex;
        if (r == Register.RIP || (r >= Register.RAX && r <= Register.R15))
        {
            return 8;
        }

        if (r == Register.EIP || (r >= Register.EAX && r <= Register.R15D))
        {
            return 4;
        }

        return r != Register.None ? 2 : _i.MemoryDisplSize == 8 ? 8 : _i.MemoryDisplSize == 2 ? 2 : Is64 && _i.MemoryDisplSize != 4 ? 8 : 4;
    }

    /// <summary>
    /// Emits the address operation that a memory operand needs beforehand, if any. Call before the operation that uses it;
    /// <see cref="SetAddress"/> then completes that one.
    /// </summary>
    private void PrepareAddress(int bytes, bool write, bool noCheck = false)
    {
        int size = AddressSize();
        if (Is64 && size == 8)
        {
            long disp = _i.IsIPRelativeMemoryOperand
                ? (long)(_i.IPRelativeMemoryAddress - _blockRip)
                : (long)_i.MemoryDisplacement64;
            if (disp != (int)disp)
            {
                Op* w = Add(&TempOps.WideAddress);
                FillAddress(w, (long)disp);
                w->Imm = disp;
                _addressInSlot = true;
            }

            return;
        }

        Op* o = Add(&TempOps.LegacyAddress);
        long displacement = _i.IsIPRelativeMemoryOperand ? (long)(_i.IPRelativeMemoryAddress - _blockRip) : (long)_i.MemoryDisplacement64;
        FillAddress(o, (int)displacement);
        o->Src = (ushort)(size == 2 ? 2 : 4);
        Register segment = _i.MemorySegment;
        o->Dst = (ushort)(Is64 || noCheck ? 255 : SegmentNumber(segment));
        o->Seg = noCheck ? Cpu.ZeroSlot
            : Is64 && segment is not (Register.FS or Register.GS) ? Cpu.ZeroSlot
            : (byte)(Cpu.SegmentSlot + (SegmentNumber(segment) * 8));
        o->Imm = (uint)bytes | (write ? 0x10000L : 0);
        _addressInSlot = true;
    }

    private void FillAddress(Op* o, long disp)
    {
        o->Disp = (int)disp;
        o->Base = _i.IsIPRelativeMemoryOperand ? Cpu.RipSlot
            : _i.MemoryBase == Register.None ? Cpu.ZeroSlot : (byte)Offset(_i.MemoryBase);
        if (_i.MemoryIndex != Register.None)
        {
            o->Index = (byte)Offset(_i.MemoryIndex);
            o->Scale = (byte)System.Numerics.BitOperations.Log2((uint)_i.MemoryIndexScale);
        }

        if (Is64 && _i.MemorySegment is Register.FS or Register.GS)
        {
            o->Seg = (byte)(Cpu.SegmentSlot + (SegmentNumber(_i.MemorySegment) * 8));
        }
    }

    private void SetAddress(Op* o)
    {
        if (_addressInSlot)
        {
            o->Base = Cpu.AddressSlot;
            return;
        }

        FillAddress(o, _i.IsIPRelativeMemoryOperand ? (long)(_i.IPRelativeMemoryAddress - _blockRip) : (long)_i.MemoryDisplacement64);
    }

    /// <summary>Appends an operation on the instruction's memory operand.</summary>
    private Op* AddMemory(Fn fn, int bytes, bool write)
    {
        PrepareAddress(bytes, write);
        Op* o = Add(fn);
        SetAddress(o);
        return o;
    }

    /// <summary>True when the address is base plus displacement alone.</summary>
    private bool IsPlainAddress =>
        !_addressInSlot && Is64 && AddressSize() == 8 && _i.MemoryIndex == Register.None && _i.MemorySegment is not (Register.FS or Register.GS);

    /// <summary>Where an integer source operand can be read: its register, or a temporary after a load.</summary>
    private ushort Source(int operand, int size, byte temp = Cpu.Temp0)
    {
        if (IsRegister(operand))
        {
            return Offset(_i.GetOpRegister(operand));
        }

        Op* o = AddMemory(
            BySize(
                size,
                &MemoryForms.Load<TempOps.LoadTemp<byte>, byte>,
                &MemoryForms.Load<TempOps.LoadTemp<ushort>, ushort>,
                &MemoryForms.Load<TempOps.LoadTemp<uint>, uint>,
                &MemoryForms.Load<TempOps.LoadTemp<ulong>, ulong>),
            size,
            write: false);
        o->Dst = temp;
        return temp;
    }

    /// <summary>Where operand 0 can be changed: its register, or Temp0 inside a read-modify-write.</summary>
    private ushort OpenDestination(int size)
    {
        if (IsRegister(0))
        {
            return Offset(_i.Op0Register);
        }

        AddMemory(
            BySize(size, &TempOps.OpenRmw<byte>, &TempOps.OpenRmw<ushort>, &TempOps.OpenRmw<uint>, &TempOps.OpenRmw<ulong>),
            size,
            write: true);
        return Cpu.Temp0;
    }

    private void CloseDestination(int size)
    {
        if (IsMemory(0))
        {
            Add(BySize(size, &TempOps.CloseRmw<byte>, &TempOps.CloseRmw<ushort>, &TempOps.CloseRmw<uint>, &TempOps.CloseRmw<ulong>));
        }
    }

    /// <summary>Stores Temp0 to the memory operand.</summary>
    private void StoreTemp(int size)
    {
        Op* o = AddMemory(
            BySize(
                size,
                &MemoryForms.Store<MoveOps.StoreReg<byte>, byte>,
                &MemoryForms.Store<MoveOps.StoreReg<ushort>, ushort>,
                &MemoryForms.Store<MoveOps.StoreReg<uint>, uint>,
                &MemoryForms.Store<MoveOps.StoreReg<ulong>, ulong>),
            size,
            write: true);
        o->Src = Cpu.Temp0;
    }
}
