using System.Buffers.Binary;
using Iced.Intel;

namespace Cnvm.Hypervisor.Soft.Tests.Differential;

/// <summary>
/// Makes random user-mode code and a state to start it from; the seed determines everything. R15 points into the data pages
/// and is never written, R14 is a small index.
/// </summary>
internal sealed partial class CaseGenerator
{
    private enum Shape
    {
        Integer,
        Sse,
        Avx,
        X87,
        String,
        State,
        Mixed,
    }

    private readonly int _seed;
    private readonly Random _random;
    private readonly InterestingValues _values;
    private readonly InstructionInfoFactory _info = new();
    private readonly byte[] _memory = new byte[GuestLayout.DataSize];
    private Shape _shape;

    public CaseGenerator(int seed)
    {
        _seed = seed;
        _random = new Random(seed);
        _values = new InterestingValues(_random);
    }

    /// <summary>The code, with its first state and memory.</summary>
    public TestCase Make()
    {
        _shape = _random.Next(20) switch
        {
            < 4 => Shape.Integer,
            < 8 => Shape.Sse,
            < 13 => Shape.Avx,
            < 16 => Shape.X87,
            < 17 => Shape.String,
            < 18 => Shape.State,
            _ => Shape.Mixed,
        };
        int length = 1 + _random.Next(_shape is Shape.String or Shape.State ? 3 : 6);
        ulong undefined = 0;
        ulong anywhere = 0;
        ListWriter writer = new();
        Encoder encoder = Encoder.Create(64, writer);
        List<Instruction> instructions = [];
        while (instructions.Count < length)
        {
            if (!TryCreate(Pick(), out Instruction instruction) || (FlagBits(instruction.RflagsRead) & undefined) != 0)
            {
                continue;
            }

            // Only the first instruction knows what rDI holds.
            if (instruction.Mnemonic is Mnemonic.Maskmovdqu or Mnemonic.Maskmovq or Mnemonic.Vmaskmovdqu && instructions.Count != 0)
            {
                continue;
            }

            int before = writer.Bytes.Count;
            if (!encoder.TryEncode(instruction, GuestLayout.CodeAddress + (ulong)before, out _, out _))
            {
                writer.Bytes.RemoveRange(before, writer.Bytes.Count - before);
                continue;
            }

            ulong none = AddUndefined(instruction, ref undefined);
            anywhere |= none;
            instructions.Add(instruction);
        }

        return new TestCase
        {
            Seed = _seed,
            Code = [.. writer.Bytes],
            Instructions = instructions,
            Start = State(),
            Memory = Memory(),
            UndefinedAtEnd = undefined,
            UndefinedAnywhere = anywhere,
        };
    }

    /// <summary>The same code with another state and other memory.</summary>
    public TestCase Vary(TestCase test) => test with { Start = State(), Memory = Memory(), Variation = test.Variation + 1 };

    /// <summary>A case of given code, with this generator's states.</summary>
    public TestCase Make(byte[] code)
    {
        Decoder decoder = Decoder.Create(64, code, GuestLayout.CodeAddress);
        List<Instruction> instructions = [];
        ulong undefined = 0;
        ulong anywhere = 0;
        while (decoder.IP < GuestLayout.CodeAddress + (ulong)code.Length)
        {
            decoder.Decode(out Instruction instruction);
            anywhere |= AddUndefined(instruction, ref undefined);
            instructions.Add(instruction);
        }

        _shape = Shape.Mixed;
        return new TestCase
        {
            Seed = _seed,
            Code = code,
            Instructions = instructions,
            Start = State(),
            Memory = Memory(),
            UndefinedAtEnd = undefined,
            UndefinedAnywhere = anywhere,
        };
    }

    /// <summary>Follows what flags are undefined; returns those that the instruction leaves so.</summary>
    private static ulong AddUndefined(in Instruction instruction, ref ulong undefined)
    {
        // A variable count may be zero and leave flags as they were; then they stay as undefined as they were.
        ulong defined = FlagBits(instruction.RflagsWritten | instruction.RflagsCleared | instruction.RflagsSet);
        bool variable = instruction.OpCount > 1 && instruction.GetOpKind(instruction.OpCount - 1) == OpKind.Register
            && instruction.GetOpRegister(instruction.OpCount - 1) == Register.CL;
        variable |= instruction.HasRepPrefix || instruction.HasRepnePrefix;
        ulong none = FlagBits(instruction.RflagsUndefined) | (IsShift(instruction) ? 0x800ul : 0);
        undefined = (variable ? undefined : undefined & ~defined) | none;
        return none;
    }

    private Code Pick()
    {
        Code[] codes = _shape switch
        {
            Shape.Integer => IntegerCodes,
            Shape.Sse => SseCodes,
            Shape.Avx => AvxCodes,
            Shape.X87 => X87Codes,
            Shape.String => _random.Next(4) == 0 ? IntegerCodes : StringCodes,
            Shape.State => _random.Next(2) == 0 ? StateCodes : AvxCodes,
            _ => _random.Next(6) switch { 0 => IntegerCodes, 1 => SseCodes, 2 => AvxCodes, 3 => X87Codes, 4 => StringCodes,
                _ => StateCodes },
        };
        return codes[_random.Next(codes.Length)];
    }

    private CpuImage State()
    {
        CpuImage s = new() { Flags = ((ulong)_random.Next() & 0x8d5) | (_random.Next(3) == 0 ? 0x400ul : 0) };
        for (int i = 0; i < 16; i++)
        {
            s.General[i] = _values.Word();
        }

        s.General[4] = GuestLayout.DataMiddle + (ulong)(_random.Next(-16, 16) * 8);
        // This KVM tells of a masked move to an address that is not canonical as of an invalid opcode, and of one in the upper half
        // as a fault in a page that is present.
        s.General[7] &= 0x3fff_ffff_ffff;
        s.General[14] = (ulong)_random.Next(16);
        s.General[15] = GuestLayout.DataMiddle;
        if (_shape is Shape.String or Shape.Mixed)
        {
            s.General[1] = (ulong)(_random.Next(8) == 0 ? _random.Next(3000) : _random.Next(40));
            s.General[6] = StringAddress();
            s.General[7] = StringAddress();
        }
        else if (_shape == Shape.State)
        {
            s.General[0] = (ulong)_random.Next(8);
            s.General[2] = 0;
        }

        Span<byte> x = s.Xsave;
        BinaryPrimitives.WriteUInt16LittleEndian(x, ControlWord());
        BinaryPrimitives.WriteUInt16LittleEndian(x[2..],
            (ushort)((_random.Next(3) == 0 ? _random.Next() & 0x7800 : 0) | (_random.Next() & 0x4700)));
        x[4] = (byte)(_random.Next(3) switch { 0 => _random.Next(256), 1 => 0x0f, _ => 0xff });
        BinaryPrimitives.WriteUInt32LittleEndian(x[24..], Mxcsr());
        for (int i = 0; i < 8; i++)
        {
            (ulong significand, ushort signExponent) = _values.Extended();
            BinaryPrimitives.WriteUInt64LittleEndian(x[(32 + (i * 16))..], significand);
            BinaryPrimitives.WriteUInt16LittleEndian(x[(40 + (i * 16))..], signExponent);
        }

        for (int i = 0; i < 256; i += 8)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(x[(160 + i)..], _values.Mixed());
            BinaryPrimitives.WriteUInt64LittleEndian(x[(576 + i)..], _values.Mixed());
        }

        return s;
    }

    private ulong StringAddress() => _random.Next(6) switch
    {
        0 => GuestLayout.DataAddress + (ulong)_random.Next(64),
        1 => GuestLayout.DataAddress + GuestLayout.WritableSize - (ulong)_random.Next(64),
        2 => GuestLayout.DataAddress + GuestLayout.DataSize - (ulong)_random.Next(64),
        _ => GuestLayout.DataMiddle + (ulong)_random.Next(-80, 80),
    };

    /// <summary>Any precision and rounding; exceptions masked as a rule.</summary>
    private ushort ControlWord() =>
        (ushort)(0x40 | (_random.Next(4) << 10) | (_random.Next(3) switch { 0 => _random.Next(4), _ => 3 } << 8)
            | (_random.Next(4) == 0 ? _random.Next(64) : 0x3f));

    private uint Mxcsr() => (uint)(
        (_random.Next(2) == 0 ? _random.Next(64) : _random.Next(2) * 0x20) | (_random.Next(4) == 0 ? _random.Next(64) << 7 : 0x1f80)
        | (_random.Next(2) == 0 ? _random.Next(4) << 13 : 0) | (_random.Next(4) == 0 ? 0x40 : 0) | (_random.Next(4) == 0 ? 0x8000 : 0));

    private byte[] Memory()
    {
        byte[] data = _memory;
        _random.NextBytes(data);
        // Around the middle lies what operands reach.
        for (int i = 0x1000 - 768; i < 0x1000 + 768; i += 8)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(data.AsSpan(i), _values.Mixed());
        }

        if (_shape is Shape.State or Shape.Mixed)
        {
            // Something like an XSAVE header wherever an area may begin.
            for (int at = 0x1000 - 512; at < 0x1000 + 512; at += 64)
            {
                if (_random.Next(2) == 0)
                {
                    Span<byte> header = data.AsSpan(at + 512, 64);
                    header.Clear();
                    header[0] = (byte)_random.Next(8);
                    BinaryPrimitives.WriteUInt64LittleEndian(header[8..], _random.Next(3) == 0 ? (1ul << 63) | (uint)_random.Next(8) : 0);
                    BinaryPrimitives.WriteUInt32LittleEndian(data.AsSpan(at + 24), Mxcsr());
                    BinaryPrimitives.WriteUInt16LittleEndian(data.AsSpan(at + 2), 0);
                }
            }
        }

        return data;
    }

    /// <summary>OF of shifts by other counts than one, and of rotates, is undefined.</summary>
    private static bool IsShift(in Instruction i) =>
        i.Mnemonic is Mnemonic.Shl or Mnemonic.Sal or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Rol or Mnemonic.Ror or Mnemonic.Rcl
            or Mnemonic.Rcr
            or Mnemonic.Shld or Mnemonic.Shrd;

    private static ulong FlagBits(RflagsBits bits)
    {
        ulong flags = 0;
        flags |= (bits & RflagsBits.CF) != 0 ? 1u : 0;
        flags |= (bits & RflagsBits.PF) != 0 ? 4u : 0;
        flags |= (bits & RflagsBits.AF) != 0 ? 0x10u : 0;
        flags |= (bits & RflagsBits.ZF) != 0 ? 0x40u : 0;
        flags |= (bits & RflagsBits.SF) != 0 ? 0x80u : 0;
        flags |= (bits & RflagsBits.OF) != 0 ? 0x800u : 0;
        return flags;
    }

    private sealed class ListWriter : CodeWriter
    {
        public List<byte> Bytes { get; } = [];

        public override void WriteByte(byte value) => Bytes.Add(value);
    }
}
