namespace Cnvm.Hypervisor.Soft.Tests.Differential;

/// <summary>Instructions, and the state and memory that they start from.</summary>
internal sealed record TestCase
{
    public required int Seed { get; init; }

    public required byte[] Code { get; init; }

    public required IReadOnlyList<Iced.Intel.Instruction> Instructions { get; init; }

    /// <summary>Number of the state among those that the seed gives.</summary>
    public int Variation { get; init; }

    public required CpuImage Start { get; init; }

    /// <summary>The data pages; the generator's, until it makes the next state.</summary>
    public required byte[] Memory { get; init; }

    /// <summary>Flags that the code leaves undefined: when it comes to its end, and wherever it stops.</summary>
    public required ulong UndefinedAtEnd { get; init; }

    public required ulong UndefinedAnywhere { get; init; }

    public string Text => $"seed {Seed}.{Variation}: {string.Join("; ", Instructions)} [{Convert.ToHexString(Code)}]";

    public ulong Undefined(CpuImage end) => end.Vector < 0 ? UndefinedAtEnd : UndefinedAnywhere;
}
