using System.Globalization;

namespace Cnvm.Bench.Machines;

/// <summary>
/// A containerd of this run's own: its folders, mounts and processes are in a directory, a mount namespace and a process namespace that nobody else has, so
/// that all of it ends with the first process there.
/// </summary>
internal sealed class ContainerHost : IDisposable
{
    /// <summary>containerd's shim for runc, in place of a path.</summary>
    public const string Runc = "io.containerd.runc.v2";

    private const string Groups = "/sys/fs/cgroup";
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(15);
    private static readonly TimeSpan ContainerLimit = TimeSpan.FromMinutes(5);
    private readonly Workspace _workspace;
    private readonly string _directory;
    private readonly string _programs;
    private readonly Child _process;
    private readonly int _first;
    private int _count;

    /// <exception cref="UnavailableException">Containers cannot run here.</exception>
    public ContainerHost(Workspace workspace)
    {
        _workspace = workspace;
        _programs = Path.GetDirectoryName(workspace.Image("containerd/containerd"))!;
        Unavailable(!Environment.IsPrivilegedProcess, "containerd needs root");
        Unavailable(!File.Exists("/bin/busybox"), "/bin/busybox is missing; 'make deps' installs it");
        Unavailable(!File.Exists($"{Groups}/cgroup.controllers") && !Directory.Exists($"{Groups}/memory"), $"no control groups in {Groups}");

        // Its last part is containerd's namespace, and so the folder of control groups: nobody else's.
        _directory = Directory.CreateTempSubdirectory("cnvm-bench-ctr-").FullName;
        Directory.CreateDirectory("/run/containerd");
        _process = Child.Start(
            workspace.Launcher,
            "env",
            [
                .. Variables, "unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "--propagation", "private",
                Path.Combine(workspace.Root, "bench", "peers", "containerd.sh"), _directory,
            ],
            Limit);
        try
        {
            _process.WaitFor("READY\n");
            File.WriteAllText(TemplateOptions, $"[sandbox]\ntemplates = \"{_directory}/templates\"\n");
            _first = ProcessMemory.ChildOf(_process.Id);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The shim's options for machines that go on from a template.</summary>
    public string TemplateOptions => $"{_directory}/template.toml";

    private string[] Variables =>
    [
        $"PATH={_programs}:{Environment.GetEnvironmentVariable("PATH")}", $"CNVM_VMM={_workspace.CnvmProgram}",
        $"CNVM_IMAGES={Path.GetDirectoryName(_workspace.Image("vmlinux-small"))}", $"CNVM_RUNTIME_DIR={_directory}/vms",
    ];

    /// <summary>Starts a container that prints "up", and ends when something is typed.</summary>
    /// <param name="runtime">Path of a shim, or <see cref="Runc"/>.</param>
    /// <param name="options">Further flags of `ctr run`.</param>
    /// <returns>The `ctr` that runs it.</returns>
    public Child Run(string runtime, params string[] options) => Child.Start(
        _workspace.Launcher,
        "nsenter",
        [
            "--target", _first.ToString(CultureInfo.InvariantCulture), "--mount", "--pid", Path.Combine(_programs, "ctr"), "--address", $"{_directory}/c.sock",
            "--namespace", Path.GetFileName(_directory), "run", "--rm", "--runtime", runtime, .. options, "local/busybox:latest",
            string.Create(CultureInfo.InvariantCulture, $"c{_count++}"), "/bin/sh", "-c", "echo up; read word",
        ],
        ContainerLimit);

    /// <summary>Processes of containerd's namespace whose name begins so.</summary>
    public IReadOnlyList<int> Processes(string name) => ProcessMemory.InNamespaceOf(_first, name);

    /// <summary>Waits until no process has such a name, so that one sample does not pay for the end of another one.</summary>
    public void WaitUntilGone(string name)
    {
        const uint Step = 5000;
        for (long end = Child.Now + (long)ContainerLimit.TotalNanoseconds; Processes(name).Count > 0;)
        {
            if (Child.Now > end)
            {
                throw new MeasurementException($"{name} does not end");
            }

            Libc.Pause(Step);
        }
    }

    public void Dispose()
    {
        _process.Dispose();
        RemoveGroups();
        Directory.Delete(_directory, recursive: true);
    }

    private static void Unavailable(bool condition, string reason)
    {
        if (condition)
        {
            throw new UnavailableException(reason);
        }
    }

    /// <summary>The last process of a namespace goes some time after the first one is killed, and its control groups cannot go before it.</summary>
    private void RemoveGroups()
    {
        const int Tries = 1000;
        const uint Step = 10_000;
        string name = Path.GetFileName(_directory);
        for (int i = 0; i < Tries; i++)
        {
            List<string> left = [];
            foreach (string controller in (string[])[Groups, .. Directory.GetDirectories(Groups)])
            {
                string group = Path.Combine(controller, name);
                if (Directory.Exists(group))
                {
                    left.AddRange(Directory.GetDirectories(group, "*", SearchOption.AllDirectories));
                    left.Add(group);
                }
            }

            if (left.Count == 0)
            {
                return;
            }

            left.Sort((a, b) => b.Length - a.Length);
            left.ForEach(Libc.RemoveFolder);
            Libc.Pause(Step);
        }

        throw new MeasurementException($"control groups {name} are still there");
    }
}
