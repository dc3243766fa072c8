namespace Cnvm.Bench.Machines;

/// <summary>A program that runs guests, and how it is told what to run.</summary>
internal abstract class Vmm(string name)
{
    /// <summary>The name in the table.</summary>
    public string Name { get; } = name;

    /// <summary>What the mapping of a named guest memory is called in /proc/PID/smaps.</summary>
    public abstract string MemoryName { get; }

    /// <summary>Where the payload finds the first virtio disk.</summary>
    public abstract string DiskAddress { get; }

    /// <summary>What Linux has to be told on this machine alone.</summary>
    public virtual string KernelParameters => "";

    /// <summary>Path of the program.</summary>
    /// <exception cref="UnavailableException">It is not there.</exception>
    public abstract string Program(Workspace workspace);

    /// <summary>The command line for a machine.</summary>
    /// <exception cref="UnavailableException">This program cannot have such a machine.</exception>
    public abstract IReadOnlyList<string> Arguments(GuestPlan plan);

    /// <summary>Starts the machine.</summary>
    public Child Start(Workspace workspace, GuestPlan plan, TimeSpan limit) =>
        Child.Start(workspace.Launcher, Program(workspace), Arguments(plan), limit);
}
