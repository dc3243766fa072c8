namespace Cnvm.Sandbox;

/// <summary>Why a sandbox did not do what it was asked to.</summary>
public enum SandboxErrorKind
{
    /// <summary>What was asked for makes no sense: an option, a specification, an image.</summary>
    Invalid,

    /// <summary>The host does not have what is needed: a program, a kernel, a right, space.</summary>
    Host,

    /// <summary>There is no such container, process or file.</summary>
    NotFound,

    /// <summary>There is one of that name already.</summary>
    AlreadyExists,

    /// <summary>The agent in the guest refused, for the reason in the message.</summary>
    Refused,

    /// <summary>The agent does not have this call.</summary>
    Unsupported,

    /// <summary>What was waited for did not come in time.</summary>
    TimedOut,

    /// <summary>The VMM, or the connection to the guest, has gone: the sandbox is of no use any more.</summary>
    Gone,

    /// <summary>Kernel, agent, template and this library are not of versions that belong together.</summary>
    Incompatible,
}
