namespace Cnvm.Cli.Containers;

/// <summary>What <c>cnvm run</c> was asked for. It is written down for the process that keeps a container in the background.</summary>
internal sealed record RunSettings
{
    public required string Name { get; init; }

    /// <summary>As it was given, made absolute if it is a file or folder.</summary>
    public required string Image { get; init; }

    /// <summary>In place of the image's; null keeps that.</summary>
    public string? Entrypoint { get; init; }

    public IReadOnlyList<string> Command { get; init; } = [];

    public bool Interactive { get; init; }

    public bool Terminal { get; init; }

    public bool Detached { get; init; }

    /// <summary>Nothing is left of it at its end.</summary>
    public bool Remove { get; init; }

    /// <summary>HOST:GUEST[:ro], with absolute paths.</summary>
    public IReadOnlyList<string> Volumes { get; init; } = [];

    /// <summary>NAME=VALUE.</summary>
    public IReadOnlyList<string> Environment { get; init; } = [];

    public string? WorkingDirectory { get; init; }

    public string? User { get; init; }

    /// <summary>HOST:GUEST[/udp].</summary>
    public IReadOnlyList<string> Ports { get; init; } = [];

    /// <summary>none or passt.</summary>
    public string Network { get; init; } = "none";

    public long MemoryBytes { get; init; }

    public int Cpus { get; init; } = 1;

    public string Hypervisor { get; init; } = "auto";

    public string Kernel { get; init; } = "";

    public string Initramfs { get; init; } = "";

    public string Store { get; init; } = "";

    /// <summary>Folder with templates that VMs go on from; null: the VM boots.</summary>
    public string? Templates { get; init; }

    /// <summary>What the container writes goes to the folder that the image is.</summary>
    public bool WritableRootfs { get; init; }

    public bool Privileged { get; init; }
}
