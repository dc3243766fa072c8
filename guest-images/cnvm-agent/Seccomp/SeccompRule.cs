namespace Cnvm.GuestAgent.Seccomp;

/// <summary>What happens to some system calls.</summary>
/// <param name="Names">Names that are not known are left out, as runc does.</param>
/// <param name="Action">SCMP_ACT_ name.</param>
/// <param name="ErrorNumber">Of SCMP_ACT_ERRNO and SCMP_ACT_TRACE; null is EPERM.</param>
/// <param name="Conditions">All must hold, but of several on one argument one.</param>
internal sealed record SeccompRule(IReadOnlyList<string> Names, string Action, uint? ErrorNumber, IReadOnlyList<SeccompCondition> Conditions);
