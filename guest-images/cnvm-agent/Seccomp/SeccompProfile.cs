namespace Cnvm.GuestAgent.Seccomp;

/// <summary>A seccomp section of an OCI specification.</summary>
/// <param name="DefaultAction">SCMP_ACT_ name.</param>
/// <param name="Architectures">SCMP_ARCH_ names.</param>
/// <param name="Flags">SECCOMP_FILTER_FLAG_ names.</param>
internal sealed record SeccompProfile(
    string DefaultAction, IReadOnlyList<string> Architectures, IReadOnlyList<string> Flags, IReadOnlyList<SeccompRule> Rules);
