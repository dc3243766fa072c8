namespace Cnvm.Cli.Parsing;

/// <summary>Whether a command is about a VM.</summary>
internal enum VmUse
{
    /// <summary>It is about none.</summary>
    None,

    /// <summary>It harms nothing when it meets the wrong one: while one VM runs, its name may be left out.</summary>
    Optional,

    /// <summary>The VM has to be named.</summary>
    Required,

    /// <summary>It names a VM that need not exist yet, or any more.</summary>
    Name,
}
