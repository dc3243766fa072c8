namespace Cnvm.Shim.Sandboxes;

/// <summary>How a sandbox's virtual machine is started.</summary>
internal sealed record SandboxSettings
{
    /// <summary>Name among the virtual machines of this host.</summary>
    public required string Name { get; init; }

    /// <summary>Folder for sockets and shared files; made by who starts the sandbox, removed with it.</summary>
    public required string Directory { get; init; }

    /// <summary>Path of the program cnvm-vmm; null: found as the command line finds it.</summary>
    public string? Vmm { get; init; }

    /// <summary>Path of the guest's kernel; null: the one that belongs to cnvm.</summary>
    public string? Kernel { get; init; }

    /// <summary>Path of the initramfs with the agent; null: the one that belongs to cnvm.</summary>
    public string? Initramfs { get; init; }

    /// <summary>Added to the kernel's command line.</summary>
    public string CommandLine { get; init; } = "";

    public int Cpus { get; init; } = 1;

    /// <summary>Bytes of guest memory.</summary>
    public ulong Memory { get; init; }

    /// <summary>Name of the guest's machine; empty: none is set.</summary>
    public string HostName { get; init; } = "";

    /// <summary>Path of the network namespace that the VMM is started in, and whose interfaces the guest gets; null: the shim's, and none.</summary>
    public string? NetworkNamespace { get; init; }

    /// <summary>Folder with a state that <see cref="ISandbox.SaveAsync"/> saved, to go on from; null: the guest boots.</summary>
    public string? RestoreFrom { get; init; }

    /// <summary>Folder with templates that sandboxes go on from; null: the guest boots.</summary>
    public string? Templates { get; init; }

    /// <summary>The first container, which the state's one goes on as.</summary>
    public required ContainerSettings First { get; init; }
}
