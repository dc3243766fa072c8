namespace Cnvm.Vmm.Config;

/// <summary>Where a console's characters go and come from.</summary>
public enum ConsoleMode
{
    /// <summary>The device does not exist.</summary>
    Off,

    /// <summary>A new pseudo-terminal; its path is found in <c>vm.info</c>.</summary>
    Pty,

    /// <summary>The VMM's own terminal.</summary>
    Tty,

    /// <summary>Output goes to a file.</summary>
    File,

    /// <summary>A listening Unix socket; one client at a time.</summary>
    Socket,

    /// <summary>The device exists; nothing is connected to it.</summary>
    Null,
}
