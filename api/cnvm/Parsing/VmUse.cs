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

    /// <summary>It names a VM that need not run any more.</summary>
    Name,

    /// <summary>It names a VM that does not exist yet.</summary>
    New,
}
