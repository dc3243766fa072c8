using System.Globalization;
using Cnvm.GuestAgent.Stage;
using Cnvm.Linux;

namespace Cnvm.GuestAgent.Cgroups;

/// <summary>A container's control group (cgroup version 2).</summary>
internal sealed class ControlGroup
{
    private const int WaitMilliseconds = 10_000;
    private const ulong DefaultPeriod = 100_000;

    private ControlGroup(string path) => Folder = path;

    /// <summary>Its folder.</summary>
    public string Folder { get; }

    /// <summary>Makes a group, with all controllers of the one above.</summary>
    /// <exception cref="IOException">It is there already, or the kernel refuses.</exception>
    public static ControlGroup Create(string parent, string name)
    {
        string path = $"{parent}/{name}";
        if (Directory.Exists(path))
        {
            throw new IOException($"the control group {path} is there already");
        }

        Directory.CreateDirectory(path);
        return new ControlGroup(path);
    }

    /// <summary>Lets the groups below a group have every controller that it has.</summary>
    /// <exception cref="IOException">The kernel refuses.</exception>
    public static void EnableControllers(string folder)
    {
        string[] controllers = File.ReadAllText($"{folder}/cgroup.controllers").Split((char[])[' ', '\n'], StringSplitOptions.RemoveEmptyEntries);
        if (controllers.Length > 0)
        {
            File.WriteAllText($"{folder}/cgroup.subtree_control", string.Join(' ', controllers.Select(c => "+" + c)));
        }
    }

    /// <exception cref="IOException">The process has ended, or the group is full.</exception>
    public void Add(int process) => Write("cgroup.procs", process.ToString(CultureInfo.InvariantCulture));

    /// <summary>Processes of the group, as far as they can be seen.</summary>
    public int[] Processes =>
        [.. File.ReadAllLines($"{Folder}/cgroup.procs").Select(l => int.Parse(l, CultureInfo.InvariantCulture)).Where(p => p > 0)];

    /// <exception cref="StageException">A limit is not possible here.</exception>
    public void Apply(ContainerLimits limits)
    {
        ApplyMemory(limits);
        if (limits.CpuShares != 0 && Exists("cpu.weight"))
        {
            // Shares reach from 2 to 262144, weights from 1 to 10000. Both say only what a group gets beside others.
            ulong weight = 1 + ((Math.Clamp(limits.CpuShares, 2, 262144) - 2) * 9999 / 262142);
            Set("cpu.weight", weight.ToString(CultureInfo.InvariantCulture));
        }

        if (limits.CpuQuota != 0 || limits.CpuPeriod != 0)
        {
            ulong period = limits.CpuPeriod == 0 ? DefaultPeriod : limits.CpuPeriod;
            string quota = limits.CpuQuota <= 0 ? "max" : limits.CpuQuota.ToString(CultureInfo.InvariantCulture);
            Set("cpu.max", string.Create(CultureInfo.InvariantCulture, $"{quota} {period}"), isNeeded: quota != "max");
        }

        if (limits.Cpus.Length > 0)
        {
            Set("cpuset.cpus", limits.Cpus);
        }

        if (limits.MemoryNodes.Length > 0)
        {
            Set("cpuset.mems", limits.MemoryNodes);
        }

        if (limits.Processes != 0)
        {
            Set("pids.max", Amount(limits.Processes), isNeeded: limits.Processes > 0);
        }
    }

    /// <summary>Stops or resumes all processes, and waits until it is done.</summary>
    /// <exception cref="IOException">The kernel refuses, or it takes too long.</exception>
    public void SetFrozen(bool isFrozen)
    {
        Write("cgroup.freeze", isFrozen ? "1" : "0");
        if (!AwaitEvent(isFrozen ? "frozen 1" : "frozen 0"))
        {
            throw new IOException($"processes of {Folder} could not be {(isFrozen ? "stopped" : "resumed")} within {WaitMilliseconds / 1000} seconds");
        }
    }

    /// <summary>Ends all processes at once; what is frozen too.</summary>
    public void Kill()
    {
        if (Exists("cgroup.kill"))
        {
            Write("cgroup.kill", "1");
            return;
        }

        foreach (int process in Processes)
        {
            _ = Children.Signal(process, Children.SIGKILL);
        }
    }

    /// <summary>Removes the group and those that were made below it, once no process is in them any more.</summary>
    /// <exception cref="IOException">Processes stay, or the kernel refuses.</exception>
    public void Remove()
    {
        if (!AwaitEvent("populated 0"))
        {
            throw new IOException($"processes of {Folder} have not ended within {WaitMilliseconds / 1000} seconds");
        }

        RemoveBelow(Folder);
    }

    /// <summary>A number in one of the group's files; null if there is no such file, or no limit.</summary>
    public ulong? Number(string file) =>
        Exists(file) && ulong.TryParse(File.ReadAllText($"{Folder}/{file}").Trim(), CultureInfo.InvariantCulture, out ulong n) ? n : null;

    /// <summary>Names and numbers of one of the group's files; empty if there is no such file.</summary>
    public Dictionary<string, ulong> Numbers(string file)
    {
        var numbers = new Dictionary<string, ulong>();
        if (Exists(file))
        {
            foreach (string line in File.ReadAllLines($"{Folder}/{file}"))
            {
                string[] words = line.Split(' ');
                if (words.Length == 2 && ulong.TryParse(words[1], CultureInfo.InvariantCulture, out ulong n))
                {
                    numbers[words[0]] = n;
                }
            }
        }

        return numbers;
    }

    /// <summary>Lines of one of the group's files; none if there is no such file.</summary>
    public string[] Lines(string file) => Exists(file) ? File.ReadAllLines($"{Folder}/{file}") : [];

    private void ApplyMemory(ContainerLimits limits)
    {
        if (limits.MemoryLimit != 0)
        {
            Set("memory.max", Amount(limits.MemoryLimit), isNeeded: limits.MemoryLimit > 0);
        }

        if (limits.MemoryReservation != 0)
        {
            Set("memory.low", Amount(limits.MemoryReservation), isNeeded: false);
        }

        // Without swap there is nothing to bound.
        if (limits.MemoryAndSwap != 0 && Exists("memory.swap.max"))
        {
            if (limits.MemoryAndSwap > 0 && limits.MemoryAndSwap < limits.MemoryLimit)
            {
                throw new StageException($"memory and swap together ({limits.MemoryAndSwap} bytes) are limited to less than memory alone ({limits.MemoryLimit})");
            }

            Set("memory.swap.max", limits.MemoryAndSwap < 0 ? "max" : Amount(limits.MemoryAndSwap - limits.MemoryLimit));
        }
    }

    private static string Amount(long value) => value < 0 ? "max" : value.ToString(CultureInfo.InvariantCulture);

    private void Set(string file, string value, bool isNeeded = true)
    {
        if (!Exists(file))
        {
            if (isNeeded)
            {
                throw new StageException($"limit {file} = {value}: the sandbox's kernel has no controller for it, or it is not enabled");
            }

            return;
        }

        try
        {
            Write(file, value);
        }
        catch (Exception e) when (e is IOException or ArgumentException)
        {
            throw new StageException($"limit {file} = {value}: {e.Message}");
        }
    }

    private bool Exists(string file) => File.Exists($"{Folder}/{file}");

    private void Write(string file, string text) => File.WriteAllText($"{Folder}/{file}", text);

    private bool AwaitEvent(string line)
    {
        string path = $"{Folder}/cgroup.events";
        using var events = new FileDescriptor(LinuxError.Check(Libc.open(path, Libc.O_RDONLY | Libc.O_CLOEXEC, 0), $"open {path}"));
        long deadline = Environment.TickCount64 + WaitMilliseconds;
        byte[] content = new byte[256];
        while (!File.ReadAllLines(path).Contains(line))
        {
            int left = (int)(deadline - Environment.TickCount64);
            if (left <= 0)
            {
                return false;
            }

            // A change makes the file ready for those that have not read it since.
            _ = FileIo.Read(events.Value, content);
            if (!File.ReadAllLines(path).Contains(line))
            {
                _ = Poll.Wait([new PollEntry { Fd = events.Value, Events = Priority }], left);
            }

            _ = FileCalls.Seek(events.Value, 0, 0);
        }

        return true;
    }

    private const short Priority = 2;

    private static void RemoveBelow(string folder)
    {
        foreach (string below in Directory.GetDirectories(folder))
        {
            RemoveBelow(below);
        }

        Directory.Delete(folder);
    }
}
