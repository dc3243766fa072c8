namespace Cnvm.Ttrpc.Tests;

/// <summary>A message with every form that a field can have.</summary>
[ProtoMessage]
internal sealed partial record Everything
{
    /// <summary>The same for protoc.</summary>
    public const string Proto = """
        syntax = "proto3";
        enum Colour { RED = 0; GREEN = 1; DARK = -1; }
        message Leaf { string name = 1; uint64 value = 200; }
        message Everything {
          bool yes = 1; int32 i32 = 2; uint32 u32 = 3; int64 i64 = 4; uint64 u64 = 5; double real = 6; string text = 7; bytes data = 8;
          Colour colour = 9; Leaf leaf = 10; Everything self = 11; optional uint32 maybe = 12; optional bool perhaps = 28;
          repeated string texts = 13; repeated Leaf leaves = 14; repeated bool yesses = 15; repeated int32 i32s = 16; repeated uint32 u32s = 17;
          repeated int64 i64s = 18; repeated uint64 u64s = 19; repeated double reals = 20; repeated uint32 loose = 21 [packed = false];
          map<string, string> names = 22; map<string, uint64> counts = 23; map<string, Leaf> leafs = 24; map<string, bool> flags = 25;
          optional int64 least = 26; optional double ratio = 27; repeated double looseReals = 29 [packed = false];
        }
        """;

    [ProtoMember(1)]
    public bool Yes { get; init; }

    [ProtoMember(2)]
    public int I32 { get; init; }

    [ProtoMember(3)]
    public uint U32 { get; init; }

    [ProtoMember(4)]
    public long I64 { get; init; }

    [ProtoMember(5)]
    public ulong U64 { get; init; }

    [ProtoMember(6)]
    public double Real { get; init; }

    [ProtoMember(7)]
    public string Text { get; init; } = "";

    [ProtoMember(8)]
    public ReadOnlyMemory<byte> Data { get; init; }

    [ProtoMember(9)]
    public Colour Colour { get; init; }

    [ProtoMember(10)]
    public Leaf? Leaf { get; init; }

    [ProtoMember(11)]
    public Everything? Self { get; init; }

    [ProtoMember(12)]
    public uint? Maybe { get; init; }

    [ProtoMember(13)]
    public IReadOnlyList<string> Texts { get; init; } = [];

    [ProtoMember(14)]
    public IReadOnlyList<Leaf> Leaves { get; init; } = [];

    [ProtoMember(15)]
    public IReadOnlyList<bool> Yesses { get; init; } = [];

    [ProtoMember(16)]
    public IReadOnlyList<int> I32s { get; init; } = [];

    [ProtoMember(17)]
    public IReadOnlyList<uint> U32s { get; init; } = [];

    [ProtoMember(18)]
    public IReadOnlyList<long> I64s { get; init; } = [];

    [ProtoMember(19)]
    public IReadOnlyList<ulong> U64s { get; init; } = [];

    [ProtoMember(20)]
    public IReadOnlyList<double> Reals { get; init; } = [];

    [ProtoMember(21)]
    public IReadOnlyList<uint> Loose { get; init; } = [];

    [ProtoMember(22)]
    public IReadOnlyDictionary<string, string> Names { get; init; } = new Dictionary<string, string>();

    [ProtoMember(23)]
    public IReadOnlyDictionary<string, ulong> Counts { get; init; } = new Dictionary<string, ulong>();

    [ProtoMember(24)]
    public IReadOnlyDictionary<string, Leaf> Leafs { get; init; } = new Dictionary<string, Leaf>();

    [ProtoMember(25)]
    public IReadOnlyDictionary<string, bool> Flags { get; init; } = new Dictionary<string, bool>();

    [ProtoMember(26)]
    public long? Least { get; init; }

    [ProtoMember(27)]
    public double? Ratio { get; init; }

    [ProtoMember(28)]
    public bool? Perhaps { get; init; }

    [ProtoMember(29)]
    public IReadOnlyList<double> LooseReals { get; init; } = [];

    /// <summary>A message of random contents, the same for the same seed.</summary>
    public static Everything Random(Random random, int depth = 3)
    {
        ulong Number() => (ulong)random.NextInt64() >> random.Next(64) ^ (random.Next(4) == 0 ? 1UL << 63 : 0);
        string Word() => new([.. Enumerable.Range(0, random.Next(20)).Select(_ => (char)(random.Next(8) == 0 ? 'é' : 'a' + random.Next(26)))]);
        Leaf NewLeaf() => new() { Name = Word(), Value = Number() };
        List<T> Several<T>(Func<T> one) => [.. Enumerable.Range(0, random.Next(4)).Select(_ => one())];
        Dictionary<string, T> Map<T>(Func<T> one) => Several(one).Select((value, i) => (Key: Word() + i, value)).ToDictionary(e => e.Key, e => e.value);
        byte[] data = new byte[random.Next(300)];
        random.NextBytes(data);
        return new Everything
        {
            Yes = random.Next(2) == 0,
            I32 = (int)Number(),
            U32 = (uint)Number(),
            I64 = (long)Number(),
            U64 = Number(),
            Real = random.NextDouble() - 0.5,
            Text = Word(),
            Data = data,
            Colour = (Colour)(random.Next(3) - 1),
            Leaf = random.Next(2) == 0 ? null : NewLeaf(),
            Self = depth == 0 || random.Next(3) == 0 ? null : Random(random, depth - 1),
            Maybe = random.Next(2) == 0 ? null : (uint)random.Next(3),
            Texts = Several(Word),
            Leaves = Several(NewLeaf),
            Yesses = Several(() => random.Next(2) == 0),
            I32s = Several(() => (int)Number()),
            U32s = Several(() => (uint)Number()),
            I64s = Several(() => (long)Number()),
            U64s = Several(Number),
            Reals = Several(random.NextDouble),
            Loose = Several(() => (uint)Number()),
            Names = Map(Word),
            Counts = Map(Number),
            Leafs = Map(NewLeaf),
            Flags = Map(() => random.Next(2) == 0),
            Least = random.Next(2) == 0 ? null : random.Next(3) - 1,
            Ratio = random.Next(2) == 0 ? null : random.Next(2),
            Perhaps = random.Next(3) switch { 0 => null, 1 => false, _ => true },
            LooseReals = Several(random.NextDouble),
        };
    }
}
