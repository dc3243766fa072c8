using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Figures;

/// <summary>The small kernel with its shell as a program under measurement.</summary>
internal sealed class ShellGuest : IDisposable
{
    private const string ReadyText = "CNVM-GUEST-READY";
    private Child _child;
    private int _commands;

    private ShellGuest(Child child, GuestPlan plan)
    {
        _child = child;
        Plan = plan;
    }

    /// <summary>The machine it was booted in.</summary>
    public GuestPlan Plan { get; }

    /// <summary>The program that runs it now.</summary>
    public Child Process => _child;

    /// <summary>Milliseconds from the execution of the program until the init of the initramfs had started.</summary>
    public double BootMilliseconds { get; private init; }

    /// <summary>The program's processor time in them.</summary>
    public double BootProcessorMilliseconds { get; private init; }

    /// <summary>Boots a machine to its shell.</summary>
    /// <param name="machine">What runs it.</param>
    /// <param name="workspace">Where images are.</param>
    /// <param name="limit">It is killed after that.</param>
    /// <param name="change">What is different about its machine.</param>
    public static ShellGuest Boot(Vmm machine, Workspace workspace, TimeSpan limit, Func<GuestPlan, GuestPlan>? change = null)
    {
        var plan = new GuestPlan
        {
            Kernel = workspace.Image("vmlinux-small"),
            Initramfs = workspace.Image("initramfs.cpio"),
            CommandLine = $"console=ttyS0 quiet panic=-1 {machine.KernelParameters}".TrimEnd(),
            SerialOutput = true,
            Verbose = true,
        };
        plan = change?.Invoke(plan) ?? plan;
        Child child = machine.Start(workspace, plan, limit);
        try
        {
            long ready = child.WaitFor(ReadyText);
            var guest = new ShellGuest(child, plan) { BootProcessorMilliseconds = child.ProcessorTime / 1e6, BootMilliseconds = (ready - child.Executed) / 1e6 };
            // From here on lines are taken as they are: no echo, no line editing, no prompt.
            child.WaitFor("# ");
            child.Type("stty -echo; PS1=; while IFS= read -r line; do eval \"$line\"; done\n");
            guest.Time("true");
            return guest;
        }
        catch
        {
            child.Dispose();
            throw;
        }
    }

    /// <summary>Milliseconds of the program's processor time that a command in the guest's shell takes.</summary>
    public double Time(string command)
    {
        int number = ++_commands;
        // The shell says when it has read the line, so that the way there is not measured. Quotes keep an echo from being the answer.
        _child.Type($"echo BEGIN''-{number}.; {command}; echo END''-{number}.\n");
        _child.WaitFor($"BEGIN-{number}.");
        long before = _child.ProcessorTime;
        _child.WaitFor($"END-{number}.");
        return (_child.ProcessorTime - before) / 1e6;
    }

    /// <summary>The last line that a command prints.</summary>
    public string Ask(string command)
    {
        int number = ++_commands;
        // A blank, lest a command that begins with a parenthesis be taken for arithmetic.
        _child.Type($"answer=$( {command}); echo BEGIN''-{number}.$answer\n");
        _child.WaitFor($"BEGIN-{number}.");
        return _child.ReadLine();
    }

    /// <summary>It has moved: another program runs it, and the one before is ended.</summary>
    public void Follow(Child child)
    {
        _child.Dispose();
        _child = child;
    }

    /// <summary>Processor time of the program while nothing happens, in percent of one processor.</summary>
    public double IdlePercent(TimeSpan duration)
    {
        long begin = Child.Now;
        long before = _child.ProcessorTime;
        Thread.Sleep(duration);
        return (_child.ProcessorTime - before) * 100.0 / (Child.Now - begin);
    }

    /// <summary>Processor time of the program so far, in seconds.</summary>
    public double ProcessorSeconds => _child.ProcessorTime / 1e9;

    /// <summary>Turns the guest off and returns the program's messages.</summary>
    public string End()
    {
        _child.Type("poweroff\n");
        return _child.WaitForEnd();
    }

    public void Dispose() => _child.Dispose();
}
