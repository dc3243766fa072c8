namespace Cnvm.CommandLine;

/// <summary>How many values follow a flag.</summary>
internal enum FlagArity
{
    /// <summary>None; the flag stands once.</summary>
    None,

    /// <summary>None; every repetition counts.</summary>
    Count,

    /// <summary>One; the flag stands once.</summary>
    One,

    /// <summary>All words up to the next flag; repetitions add to them.</summary>
    Many,
}
