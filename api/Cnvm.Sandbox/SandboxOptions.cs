namespace Cnvm.Sandbox;

/// <summary>What a sandbox VM is made of. Only kernel and initramfs have to be given, or a template.</summary>
public sealed record SandboxOptions
{
    /// <summary>Name of the sandbox, also among the VMs that <c>cnvm ps</c> lists: letters, digits, dots, dashes and underscores, at most 63; null for one made up.</summary>
    public string? Name { get; init; }

    /// <summary>The program <c>cnvm-vmm</c>; null for <c>$CNVM_VMM</c>, the one beside this program, or the one in PATH.</summary>
    public string? VmmPath { get; init; }

    /// <summary>The guest's kernel. Needed without a template.</summary>
    public string? Kernel { get; init; }

    /// <summary>The initramfs whose first program is the agent. Needed without a template.</summary>
    public string? Initramfs { get; init; }

    /// <summary>Added to the kernel's command line.</summary>
    public string KernelArguments { get; init; } = "";

    /// <summary><c>auto</c>, <c>kvm</c> or <c>soft</c>, as the flag of <c>cnvm-vmm</c>.</summary>
    public string Hypervisor { get; init; } = "auto";

    /// <summary>The guest's processors, from 1. A template has its own.</summary>
    public int Cpus { get; init; } = 1;

    /// <summary>The guest's memory in bytes, from 64 MiB. A template has its own.</summary>
    public long MemoryBytes { get; init; } = 512L << 20;

    /// <summary>How the guest reaches the network; it does not unless something is said.</summary>
    public SandboxNetwork Network { get; init; } = SandboxNetwork.None;

    /// <summary>
    /// Path of the network namespace that the VMM runs in, such as <c>/run/netns/NAME</c>; null for this process's own. Needs CAP_SYS_ADMIN. The guest gets its
    /// interfaces with <see cref="SandboxNetwork.Namespace"/>.
    /// </summary>
    public string? NetworkNamespace { get; init; }

    /// <summary>Folders of the host that the guest has besides the one that is shared anyway. With a template they take the places of those that it was made with.</summary>
    public IReadOnlyList<SharedFolder> Folders { get; init; } = [];

    /// <summary>
    /// Folder that <see cref="SandboxVm.MakeTemplateAsync"/> has filled: the sandbox goes on from there instead of booting. It stays as it is as long as a
    /// sandbox from it lives.
    /// </summary>
    public string? Template { get; init; }

    /// <summary>
    /// The sandbox's own folder, for sockets, logs and what is shared; it is made (mode 0700) and goes with the sandbox. Null for one made
    /// in the runtime directory. Its path has at most 90 bytes, because sockets lie in it.
    /// </summary>
    public string? Folder { get; init; }

    /// <summary>Flags for <c>cnvm-vmm</c> besides those that this library makes.</summary>
    public IReadOnlyList<string> VmmArguments { get; init; } = [];

    /// <summary>The guest's host name; null for the sandbox's name.</summary>
    public string? Hostname { get; init; }

    /// <summary>Lines for the guest's resolv.conf.</summary>
    public IReadOnlyList<string> Dns { get; init; } = [];

    /// <summary>How long it may take until the agent answers.</summary>
    public TimeSpan StartTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Longest time that an ordinary call to the agent may take. Waiting for a process or for its output has no limit.</summary>
    public TimeSpan CallTimeout { get; init; } = TimeSpan.FromSeconds(60);
}
