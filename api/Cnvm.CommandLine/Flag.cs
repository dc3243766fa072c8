namespace Cnvm.CommandLine;

/// <summary>A flag of the command line.</summary>
/// <param name="Name">With its dashes.</param>
/// <param name="Arity">How many values follow.</param>
internal sealed record Flag(string Name, FlagArity Arity)
{
    /// <summary>One letter with its dash; null for none.</summary>
    public string? Short { get; init; }

    /// <summary>It describes the virtual machine, so it needs a payload.</summary>
    public bool IsVmConfig { get; init; }

    /// <summary>What the contract offers under this name and cnvm does not yet, with its verb; null if it does.</summary>
    public string? Unsupported { get; init; }
}
