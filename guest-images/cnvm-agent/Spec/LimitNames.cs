namespace Cnvm.GuestAgent.Spec;

/// <summary>Numbers of resource limits (setrlimit(2)).</summary>
internal static class LimitNames
{
    private static readonly string[] Names =
    [
        "CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME",
    ];

    /// <returns>Null if there is none of that name.</returns>
    public static int? NumberOf(string name)
    {
        const string Prefix = "RLIMIT_";
        int number = name.StartsWith(Prefix, StringComparison.Ordinal) ? Array.IndexOf(Names, name[Prefix.Length..]) : -1;
        return number < 0 ? null : number;
    }
}
