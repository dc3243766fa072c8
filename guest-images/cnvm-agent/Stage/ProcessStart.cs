using System.Runtime.InteropServices;
using Cnvm.Linux;

namespace Cnvm.GuestAgent.Stage;

/// <summary>The last steps: limits, user, rights, filter, program. The thread's root is the container's.</summary>
internal sealed class ProcessStart
{
    private const string DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    private const ulong AdministratorRight = 1UL << 21;
    private readonly StagePlan _plan;
    private readonly UserEntry _user;

    /// <exception cref="StageException">The user is not known in the container.</exception>
    public ProcessStart(StagePlan plan)
    {
        _plan = plan;
        _user = UserDatabase.Resolve(plan);
    }

    /// <summary>What can be done, or be found wrong, before the start is ordered.</summary>
    public void Prepare()
    {
        foreach ((int resource, ulong soft, ulong hard) in _plan.Limits)
        {
            ProcessLimits.Set(resource, soft, hard);
        }
    }

    /// <summary>Becomes the program; comes back only by an exception.</summary>
    /// <exception cref="StageException">It cannot be executed.</exception>
    public void Execute()
    {
        for (int fd = 0; fd <= 2; fd++)
        {
            // Who opens /dev/stdout again must be allowed to. Files that cannot be given away stay as they are.
            _ = ContainerTerminal.GiveTo(fd, _user.UserId);
        }

        CapabilitySets sets = _plan.Capabilities;
        ulong known = ThreadCredentials.KnownCapabilities;
        ThreadCredentials.BoundCapabilities(sets.Bounding);
        ThreadCredentials.Become(_user.UserId, _user.GroupId, [.. _user.Groups]);
        ChangeDirectory();
        string[] environment = BuildEnvironment();
        string program = Find(_plan.Arguments[0], environment);
        // Without no_new_privs loading a filter takes CAP_SYS_ADMIN. What a program has after execve(2) follows from the bounding,
        // inheritable and ambient sets and from its file, never from what was permitted before.
        ulong forFilter = _plan.SeccompFilter.Count > 0 && !_plan.NoNewPrivileges ? AdministratorRight : 0;
        ThreadCredentials.SetCapabilities(
            (sets.Effective & known) | forFilter, (sets.Permitted & known) | forFilter, sets.Inheritable & known, sets.Ambient & known);
        if (_plan.NoNewPrivileges)
        {
            ThreadCredentials.ForbidNewPrivileges();
        }

        (int error, bool isFilter) = ProgramImage.Replace(
            program, _plan.Arguments, environment, [.. _plan.SeccompFilter], _plan.SeccompFlags);
        throw new StageException(isFilter
            ? new LinuxException("load the seccomp filter", error).Message
            : Describe(_plan.Arguments[0], error));
    }

    private void ChangeDirectory()
    {
        int error = Mounts.ChangeDirectory(_plan.WorkingDirectory);
        if (error != 0)
        {
            throw new StageException(new LinuxException($"enter the working directory {_plan.WorkingDirectory}", error).Message);
        }
    }

    private string[] BuildEnvironment() =>
        _plan.Environment.Any(e => e.StartsWith("HOME=", StringComparison.Ordinal) && e.Length > 5)
            ? [.. _plan.Environment]
            : [.. _plan.Environment.Where(e => !e.StartsWith("HOME=", StringComparison.Ordinal)), $"HOME={_user.Home}"];

    private static string Find(string name, string[] environment)
    {
        if (name.Contains('/'))
        {
            return name;
        }

        string paths = environment.FirstOrDefault(e => e.StartsWith("PATH=", StringComparison.Ordinal))?[5..] ?? DefaultPath;
        int error = Errno.ENOENT;
        foreach (string folder in paths.Split(':'))
        {
            string path = $"{(folder.Length == 0 ? "." : folder)}/{name}";
            int found = ProgramImage.MayExecute(path);
            if (found == 0 && !Directory.Exists(path))
            {
                return path;
            }

            error = found is Errno.EACCES ? found : error;
        }

        throw new StageException(error == Errno.ENOENT
            ? $"exec: \"{name}\": executable file not found in $PATH ({paths})"
            : Describe(name, error));
    }

    private static string Describe(string name, int error) => $"exec: \"{name}\": {Marshal.GetPInvokeErrorMessage(error)}";
}
