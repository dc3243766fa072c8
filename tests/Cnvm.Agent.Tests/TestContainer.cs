using System.Text;
using Cnvm.Agent.Protocol;
using Cnvm.Ttrpc;

namespace Cnvm.Agent.Tests;

/// <summary>A container of a test: made, started, read and removed by the agent's own calls.</summary>
internal sealed class TestContainer(AgentFixture agent, string id)
{
    private static readonly string[] Rights = ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_SYS_CHROOT", "CAP_NET_RAW"];

    public string Id { get; } = id;

    public string Root { get; } = agent.MakeRoot(id);

    /// <summary>As engines write specifications, with a shell that runs a script.</summary>
    public Spec Spec(string script) => new()
    {
        Version = "1.0.2",
        Process = Process(script),
        Root = new Root { Path = Root },
        Mounts =
        [
            new Mount { Destination = "/proc", Type = "proc", Source = "proc", Options = ["nosuid", "noexec", "nodev"] },
            new Mount { Destination = "/dev", Type = "tmpfs", Source = "tmpfs", Options = ["nosuid", "strictatime", "mode=755", "size=65536k"] },
            new Mount { Destination = "/dev/pts", Type = "devpts", Source = "devpts", Options = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
            new Mount { Destination = "/dev/shm", Type = "tmpfs", Source = "shm", Options = ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] },
            new Mount { Destination = "/sys", Type = "sysfs", Source = "sysfs", Options = ["nosuid", "noexec", "nodev", "ro"] },
        ],
        Linux = new OciLinux
        {
            Namespaces = [.. ((string[])["pid", "ipc", "uts", "mount", "network", "cgroup"]).Select(t => new LinuxNamespace { Type = t })],
            MaskedPaths = ["/proc/interrupts", "/proc/acpi", "/sys/firmware"],
            ReadonlyPaths = ["/proc/sys", "/proc/sysrq-trigger"],
        },
    };

    public static Process Process(string script) => new()
    {
        User = new User(),
        Args = ["/bin/sh", "-c", script],
        Env = ["PATH=/bin:/usr/bin"],
        Cwd = "/",
        Capabilities = new LinuxCapabilities { Bounding = Rights, Effective = Rights, Permitted = Rights },
        NoNewPrivileges = true,
    };

    public Task CreateAsync(Spec spec, bool sharesProcessIds = false) => agent.CallAsync<CreateContainerRequest, Empty>(
        AgentService.CreateContainer, new CreateContainerRequest { ContainerId = Id, ExecId = Id, Oci = spec, SandboxPidns = sharesProcessIds });

    public Task StartAsync() => agent.CallAsync<StartContainerRequest, Empty>(AgentService.StartContainer, new StartContainerRequest { ContainerId = Id });

    /// <summary>Runs a script to its end.</summary>
    public async Task<(int Code, string Output, string Errors)> RunAsync(string script, Func<Spec, Spec>? change = null)
    {
        Spec spec = Spec(script);
        await CreateAsync(change is null ? spec : change(spec));
        await StartAsync();
        (int Code, string Output, string Errors) result = await EndAsync("");
        await RemoveAsync();
        return result;
    }

    public async Task<(int Code, string Output, string Errors)> EndAsync(string process, bool hasTerminal = false)
    {
        Task<string> output = ReadAllAsync(process, AgentService.ReadStdout);
        Task<string> errors = hasTerminal ? Task.FromResult("") : ReadAllAsync(process, AgentService.ReadStderr);
        int code = await WaitAsync(process);
        return (code, await output, await errors);
    }

    public async Task<int> WaitAsync(string process = "") => (await agent.CallAsync<WaitProcessRequest, WaitProcessResponse>(
        AgentService.WaitProcess, new WaitProcessRequest { ContainerId = Id, ExecId = process })).Status;

    public Task ExecuteAsync(string process, Process what) => agent.CallAsync<ExecProcessRequest, Empty>(
        AgentService.ExecProcess, new ExecProcessRequest { ContainerId = Id, ExecId = process, Process = what });

    public async Task<(int Code, string Output, string Errors)> ExecuteToEndAsync(string process, string script)
    {
        await ExecuteAsync(process, Process(script));
        return await EndAsync(process);
    }

    public Task SignalAsync(int signal, string process) => agent.CallAsync<SignalProcessRequest, Empty>(
        AgentService.SignalProcess, new SignalProcessRequest { ContainerId = Id, ExecId = process, Signal = (uint)signal });

    public Task WriteAsync(string text, string process = "") => agent.CallAsync<WriteStreamRequest, WriteStreamResponse>(
        AgentService.WriteStdin, new WriteStreamRequest { ContainerId = Id, ExecId = process, Data = Encoding.UTF8.GetBytes(text) });

    public Task CloseInputAsync(string process = "") => agent.CallAsync<CloseStdinRequest, Empty>(
        AgentService.CloseStdin, new CloseStdinRequest { ContainerId = Id, ExecId = process });

    public Task RemoveAsync() => agent.CallAsync<RemoveContainerRequest, Empty>(AgentService.RemoveContainer, new RemoveContainerRequest { ContainerId = Id });

    /// <returns>Null at the end.</returns>
    public async Task<string?> ReadAsync(string process = "", string stream = AgentService.ReadStdout)
    {
        try
        {
            ReadStreamResponse answer = await agent.CallAsync<ReadStreamRequest, ReadStreamResponse>(
                stream, new ReadStreamRequest { ContainerId = Id, ExecId = process, Len = 32768 });
            return Encoding.UTF8.GetString(answer.Data.Span);
        }
        catch (TtrpcException e) when (e.Message.Contains("eof"))
        {
            return null;
        }
    }

    /// <summary>Reads until a text has come.</summary>
    public async Task<string> ReadUntilAsync(string text, string process = "")
    {
        var all = new StringBuilder();
        while (!all.ToString().Contains(text))
        {
            all.Append(await ReadAsync(process) ?? throw new InvalidDataException($"'{text}' has not come: {all}"));
        }

        return all.ToString();
    }

    private async Task<string> ReadAllAsync(string process, string stream)
    {
        var all = new StringBuilder();
        while (await ReadAsync(process, stream) is { } part)
        {
            all.Append(part);
        }

        return all.ToString();
    }
}
