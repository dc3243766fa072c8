namespace Cnvm.Guest.Tests.Kvm;

/// <summary>Tests that share the nested KVM host.</summary>
[CollectionDefinition(Name)]
public sealed class KvmGuests : ICollectionFixture<NestedHostFixture>
{
    public const string Name = "guests on KVM";
}
